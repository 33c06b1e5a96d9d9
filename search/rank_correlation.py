"""How far two measurements put the same candidates in the same order, with intervals."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_NORMAL_95 = 1.959964
_FEW = 12
"""Below so many candidates a quadratic in the logarithm of MACs would fit noise; a line is taken."""
_ONE_BUDGET = 0.02
"""Candidates whose MACs differ by less than this share have equal MACs."""
_NUM_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A rank correlation in [-1, 1], 1 where both agree, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Both rank correlations over the same candidates; None where one of the two measurements is constant."""

    num: int
    spearman: Estimate | None
    kendall: Estimate | None


def estimate_text(estimate: Estimate | None) -> str:
    """`0.81 (0.60 to 0.92)` for people."""
    if estimate is None:
        return "all alike"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def agreement(first: Array, second: Array, *, num_fitted: int = 0) -> Agreement:
    """How well two measurements of the same candidates, shape (num,), agree on their order.

    Intervals by Fisher's z: the variance of Spearman's after Bonett and Wright 2000 (Psychometrika 65), of Kendall's
    after Fieller, Hartley and Pearson 1957 (Biometrika 44).

    Args:
        first: one measurement.
        second: the other.
        num_fitted: coefficients, the constant aside, that were fitted and taken out of both.
    """
    num = len(first)
    rho, tau = spearman(first, second), kendall(first, second)
    free = num - num_fitted
    return Agreement(
        num=num,
        spearman=_estimate(rho, spread=1 + rho**2 / 2, freedom=free - 3, nearest=1 - 12 / (num**3 - num)),
        kendall=_estimate(tau, spread=0.437, freedom=free - 4, nearest=1 - 4 / (num * (num - 1))),
    )


def spearman(first: Array, second: Array) -> float:
    """The correlation of ranks, equal values sharing theirs; not a number where all of one are equal."""
    one, other = (ranks - ranks.mean() for ranks in (_ranks(first), _ranks(second)))
    norm = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 0 else math.nan


def kendall(first: Array, second: Array) -> float:
    """Kendall's tau-b: pairs in the same order less those in the opposite one, ties accounted for. O(n^2)."""
    one, other = (np.sign(values[:, None] - values[None, :]) for values in (first, second))
    norm = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 0 else math.nan


def at_equal_macs(values: Array, macs: Array) -> tuple[Array, int]:
    """What is left of values, shape (num,), after their smooth dependence on the logarithm of MACs.

    Returns:
        The residuals, and the number of coefficients fitted beside the constant: 2, of few candidates 1, of candidates
        of one budget 0.
    """
    place = np.log(macs)
    spread = float(np.ptp(place))
    degree = 0 if spread < _ONE_BUDGET else 1 if len(values) < _FEW else 2
    scaled = (place - place.mean()) / max(spread, _ONE_BUDGET)
    fitted = np.polynomial.polynomial.polyfit(scaled, values, degree)
    residuals = values - np.polynomial.polynomial.polyval(scaled, fitted)
    return np.round(residuals, _NUM_DIGITS), degree  # rounding errors have no order


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return ranks


def _estimate(value: float, *, spread: float, freedom: int, nearest: float) -> Estimate | None:
    """The interval; of perfect agreement it begins where that of the nearest imperfect one does."""
    if math.isnan(value):
        return None
    if freedom <= 0:
        return Estimate(value=value, low=-1.0, high=1.0)
    half = _NORMAL_95 * math.sqrt(spread / freedom)
    center = math.atanh(min(max(value, -nearest), nearest))
    low, high = math.tanh(center - half), math.tanh(center + half)
    return Estimate(value=value, low=-1.0 if value < -nearest else low, high=1.0 if value > nearest else high)
