"""Turn any vector of removed fractions into widths that meet the budgets, so that no channel more would fit."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pruners.cost import CostModel, FloatArray
from pruners.latency import LatencyModel
from pruners.ledger import IntArray
from spaces import ChannelGroup, InfeasibleError

GRID = 64
ROUNDS = 4

Meets = Callable[[IntArray], npt.NDArray[np.bool_]]
"""Whether each row of kept widths is within every budget, shape (batch, num_groups) -> (batch,)."""


def rounded_widths(ratios: FloatArray, groups: Sequence[ChannelGroup]) -> IntArray:
    """Kept widths for removed fractions, shape (..., num_groups): rounded down to the group's multiple, within bounds.

    The small addend keeps 10 * (1 - 0.9) from becoming 0 in floating point.
    """
    width = np.array([group.width for group in groups])
    multiple = np.array([group.multiple_of for group in groups])
    least = np.array([group.min_keep for group in groups])
    most = np.array([group.max_keep for group in groups])
    kept = np.floor(width * (1 - np.clip(ratios, 0, 1)) / multiple + 1e-6) * multiple
    bounded: IntArray = np.clip(kept, least, most).astype(np.int64)
    return bounded


def within_budgets(cost: CostModel, latency: LatencyModel | None, *, budget_macs: int) -> Meets:
    """The check of both budgets: MACs, and milliseconds where a table and a limit are there."""

    def meets(kept: IntArray) -> npt.NDArray[np.bool_]:
        fits: npt.NDArray[np.bool_] = cost.macs(kept) <= budget_macs
        return fits & latency.within(kept) if latency is not None and latency.is_limited else fits

    return meets


def fit(
    ratios: FloatArray,
    groups: Sequence[ChannelGroup],
    cost: CostModel,
    *,
    budget_macs: int,
    latency: LatencyModel | None = None,
) -> IntArray:
    """Widths, shape (num_groups,), for removed fractions `ratios` of shape (num_groups,), shifted to the budgets.

    One number is added to every fraction, the smallest that meets the budgets; then channels come back one at a time,
    to the group that is furthest below its share, while any still fits. Neither MACs nor predicted milliseconds fall
    where a width rises, so both are met from some number on.

    Raises:
        InfeasibleError: not even the smallest network in reach meets a budget.
    """
    if cost.min_macs > budget_macs:
        raise InfeasibleError("target_flops", budget_macs, f"no network in reach has fewer than {cost.min_macs} MACs")
    if latency is not None and latency.smallest_ms > latency.limit_ms:
        rule = f"no network in reach takes less than {latency.smallest_ms:.3g} ms"
        raise InfeasibleError("target_latency", f"{latency.limit_ms:.3g}ms", rule)
    meets = within_budgets(cost, latency, budget_macs=budget_macs)
    # from all groups whole to all at their smallest, however far offsets took the fractions out of [0, 1]
    low, high = -float(np.max(ratios, initial=0.0)), 1.0 - float(np.min(ratios, initial=0.0))
    for _ in range(ROUNDS):  # each round narrows the bracket by GRID
        shifts = np.linspace(low, high, GRID + 1)
        widths = rounded_widths(ratios + shifts[:, None], groups)
        first = int(np.argmax(meets(widths)))
        low, high = shifts[max(first - 1, 0)], shifts[first]
    share = np.array([group.width for group in groups]) * (1 - np.clip(ratios + low, 0, 1))
    return _fill(widths[first], share, groups, meets)


def _fill(kept: IntArray, share: FloatArray, groups: Sequence[ChannelGroup], meets: Meets) -> IntArray:
    steps = np.diag([group.multiple_of for group in groups])
    most = np.array([group.max_keep for group in groups])
    width = np.array([group.width for group in groups])
    kept = kept.copy()
    while True:
        larger = kept + steps
        fits = (larger <= most).all(axis=1) & meets(larger)
        if not fits.any():
            return kept
        shortfall = np.where(fits, (share - kept) / width, -np.inf)
        kept = larger[int(np.argmax(shortfall))]
