"""One threshold over many pools of weights that are scaled differently, without sorting them again.

Every pool is sorted once. A threshold over all pools is then found in a few rounds: evenly spaced samples of each pool
bound the rank of every sampled score, so all but a narrow window of each pool is ruled out; what is left is small and
is ranked exactly.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pruners.cost import FloatArray
from pruners.ledger import IntArray

SAMPLES = 96
SMALL = 32768
"""Elements that are ranked directly."""


def shares_below(pools: Sequence[npt.NDArray[np.floating]], costs: FloatArray, *, num_kept: int) -> FloatArray:
    """Share of each pool that lies strictly below the threshold which `num_kept` elements of all pools reach.

    Scores are magnitude / cost; the threshold is the `num_kept`-th largest score of all, and scores equal to it stay.

    Args:
        pools: magnitudes of each pool, sorted in ascending order, at least one element each.
        costs: positive divisor of each pool, shape (num_pools,).
        num_kept: from 0 (everything goes) to the number of elements.

    Returns:
        Removed share per pool, shape (num_pools,), in [0, 1].
    """
    sizes = np.array([len(pool) for pool in pools], dtype=np.int64)
    if num_kept <= 0:
        return np.ones(len(pools))
    target = int(sizes.sum()) - num_kept
    low, high = _windows(pools, costs, target)
    scores = [pool[a:b].astype(np.float64) / c for pool, a, b, c in zip(pools, low, high, costs, strict=True)]
    rest = target - int(low.sum())
    threshold = np.partition(np.concatenate(scores), rest)[rest]
    below = low + np.array([int(np.searchsorted(part, threshold)) for part in scores])
    shares: FloatArray = below / sizes
    return shares


def _windows(pools: Sequence[npt.NDArray[np.floating]], costs: FloatArray, target: int) -> tuple[IntArray, IntArray]:
    """Ranges [low, high) of each pool that hold the element of ascending rank `target`; all before low rank lower."""
    low = np.zeros(len(pools), dtype=np.int64)
    high = np.array([len(pool) for pool in pools], dtype=np.int64)
    while (active := int((high - low).sum())) > SMALL:
        above, below = _bounds(pools, costs, low, high, target)
        new_low, new_high = low.copy(), high.copy()
        for index, (pool, cost) in enumerate(zip(pools, costs, strict=True)):
            slack = 4 * np.finfo(pool.dtype).eps  # magnitude / cost and threshold * cost round differently
            first = pool.searchsorted(pool.dtype.type(above * cost * (1 - slack)))
            last = pool.searchsorted(pool.dtype.type(below * cost * (1 + slack)), side="right")
            new_low[index], new_high[index] = max(low[index], first), min(high[index], last)
            new_high[index] = max(new_low[index], new_high[index])
        low, high = new_low, new_high
        if int((high - low).sum()) > active // 2:  # equal weights: nothing more to rule out
            break
    return low, high


def _bounds(
    pools: Sequence[npt.NDArray[np.floating]], costs: FloatArray, low: IntArray, high: IntArray, target: int
) -> tuple[float, float]:
    """Two sampled scores with the wanted one between them; 0 and infinity where no sample bounds it."""
    scores, steps = [], []
    for pool, first, last, cost in zip(pools, low.tolist(), high.tolist(), costs, strict=True):
        step = max(1, (last - first) // SAMPLES)
        taken = pool[first:last:step].astype(np.float64) / cost
        scores.append(taken)
        steps.append(np.full(len(taken), step))
    joined, weight = np.concatenate(scores), np.concatenate(steps)
    order = np.argsort(joined, kind="stable")
    most = np.cumsum(weight[order])  # elements up to a sample's score: each sample brings at most its step with it
    least = most - int(sum(part[0] for part in steps if len(part)))
    rest = target - int(low.sum())
    lower, upper = np.flatnonzero(most <= rest), np.flatnonzero(least > rest)
    above = float(joined[order[lower[-1]]]) if len(lower) else 0.0
    below = float(joined[order[upper[0]]]) if len(upper) else float("inf")
    return above, below
