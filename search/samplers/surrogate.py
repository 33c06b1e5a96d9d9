"""A cheap model of accuracy over parameters: Bayesian ridge regression on a few features of each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from pruners.cost import FloatArray
from spaces.domain import Value

MOST = 600
"""Candidates that one fit takes: more than features, of which 60 numbers have 180."""

Params = Mapping[str, Value]

OFFSET = "offset."
"""What the names of offsets begin with; `spaces.space` names them."""


class Surrogate:
    """Logit of accuracy as a quadratic of every number and its product with the budget, and a level per category.

    Numbers are scaled to [-1, 1] over their range, logarithmically where they are drawn so; what a candidate does not
    have counts as the middle. Offsets are taken from their mean: the budget decides their common part, so candidates
    that differ in it alone are one network. A fit takes at most `MOST` candidates, so that it stays within 50 ms in 60
    dimensions.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], *, budget: str) -> None:
        # The import takes seconds, and most commands only look a sampler up.
        from sklearn.linear_model import BayesianRidge

        self._numbers = {
            name: found
            for name, found in sorted(distributions.items())
            if isinstance(found, FloatDistribution | IntDistribution) and found.low < found.high
        }
        self._categories = [
            (name, choice)
            for name, found in sorted(distributions.items())
            if isinstance(found, CategoricalDistribution)
            for choice in found.choices
        ]
        self._budget = list(self._numbers).index(budget) if budget in self._numbers else None
        self._log = np.array([found.log for found in self._numbers.values()], dtype=bool)
        ends = np.array([(found.low, found.high) for found in self._numbers.values()], dtype=np.float64).reshape(-1, 2)
        ends[self._log] = np.log(ends[self._log])
        self._low, self._span = ends[:, 0], ends[:, 1] - ends[:, 0]
        self._offsets = [index for index, name in enumerate(self._numbers) if name.startswith(OFFSET)]
        self._model: Any = BayesianRidge()
        self._rows: list[FloatArray] = []

    def fit(self, params: Sequence[Params], accuracy: Sequence[float]) -> None:
        """Learn from candidates and their accuracies in [0, 1]; from call to call candidates may only be added."""
        self._rows.extend(self._features(params[len(self._rows) :]))
        used = thinned(len(params))
        clipped = np.clip(np.array(accuracy, dtype=np.float64)[used], 0.005, 0.995)
        self._model.fit(np.stack([self._rows[index] for index in used]), np.log(clipped / (1 - clipped)))

    def predict(self, params: Sequence[Params]) -> FloatArray:
        """Expected accuracy in [0, 1], shape (candidates,)."""
        logits: FloatArray = self._model.predict(self._features(params))
        accuracy: FloatArray = 1 / (1 + np.exp(-logits))
        return accuracy

    def _features(self, params: Sequence[Params]) -> FloatArray:
        rows = [[one.get(name, math.nan) for name in self._numbers] for one in params]
        numbers = np.array(rows, dtype=np.float64).reshape(len(params), len(self._numbers))
        numbers[:, self._log] = np.log(numbers[:, self._log])
        numbers = np.nan_to_num(2 * (numbers - self._low) / self._span - 1, nan=0.0)
        if self._offsets:
            numbers[:, self._offsets] -= numbers[:, self._offsets].mean(axis=1, keepdims=True)
        parts = [numbers, numbers**2]
        if self._budget is not None:
            parts.append(numbers * numbers[:, [self._budget]])
        levels = [[1.0 if one.get(name) == choice else 0.0 for name, choice in self._categories] for one in params]
        parts.append(np.array(levels).reshape(len(params), len(self._categories)))
        features: FloatArray = np.concatenate(parts, axis=1)
        return features


def thinned(count: int) -> list[int]:
    """At most `MOST` positions of `count`, rising: the newest half of them, and older ones evenly."""
    if count <= MOST:
        return list(range(count))
    newest = MOST // 2
    older = np.linspace(0, count - newest - 1, MOST - newest).round().astype(int)
    return [*older.tolist(), *range(count - newest, count)]
