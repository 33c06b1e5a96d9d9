"""How much hypervolume a candidate would add to a front."""

from collections.abc import Sequence

import numpy as np

from pruners.cost import FloatArray


class Steps:
    """The best accuracy known at each cost, as a staircase from cost 0 to the reference 1."""

    def __init__(self, accuracy: Sequence[float], cost: Sequence[float]) -> None:
        """Of any points: accuracies in [0, 1], costs as shares of the dense network's."""
        points = np.array([accuracy, cost], dtype=np.float64)
        points = points[:, np.lexsort((-points[0], points[1]))]
        best = np.maximum.accumulate(points[0])
        rises = np.concatenate(([True], best[1:] > best[:-1]))
        self._level = np.concatenate(([0.0], best[rises]))
        """Accuracy of each stair (stairs,), rising; 0 before the first point."""
        self._begin = np.concatenate(([0.0], points[1][rises]))
        self._end = np.concatenate((points[1][rises], [1.0]))

    def level(self, cost: FloatArray) -> FloatArray:
        """The best accuracy at no more than `cost`, both (candidates,)."""
        levels: FloatArray = self._level[np.searchsorted(self._begin, cost, side="right") - 1]
        return levels

    def improvement(self, accuracy: FloatArray, cost: FloatArray) -> FloatArray:
        """Area that each candidate alone would add, (candidates,): exact, 0 where it is dominated."""
        width = np.clip(self._end - np.maximum(self._begin, cost[:, None]), 0.0, None)
        height = np.clip(accuracy[:, None] - self._level, 0.0, None)
        areas: FloatArray = (width * height).sum(axis=1)
        return areas
