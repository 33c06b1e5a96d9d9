"""Budgets as people write them: 0.45, 45%, 55M, 1.2G, 0.3:0.8, 30M:80M of compute; 3ms, 0.5 of latency."""

import math
import re
from dataclasses import dataclass

from spaces import InfeasibleError, UserError

_AMOUNT = re.compile(r"(?P<number>\d+(?:[._]\d+)*(?:[eE][+-]?\d+)?|\.\d+)\s*(?P<unit>[%KMGT]?)", re.IGNORECASE)
_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_DURATION = re.compile(r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>ms|us|s|%|)", re.IGNORECASE)
_MILLISECONDS = {"s": 1e3, "ms": 1.0, "us": 1e-3}
_LATENCY_RULE = "must be a time (3ms, 800us, 0.2s) or a fraction of the dense network's (0.5, 50%)"
_RULE = "must be a fraction of the dense network (0.45, 45%), MACs (55M, 1.2G), or a range of either (0.3:0.8)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """A fraction of the dense network's MACs in (0, 1], or a number of MACs."""

    value: float
    is_fraction: bool

    def macs(self, dense_macs: int) -> int:
        """The whole number of MACs that this amount allows in a network of `dense_macs`."""
        return math.floor(self.value * dense_macs + 1e-6) if self.is_fraction else math.floor(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the user asked for; `low` equals `high` where one budget was given."""

    low: Amount
    high: Amount
    text: str

    @classmethod
    def parse(cls, value: object, *, key: str = "target_flops") -> "Target":
        """Read one budget or a range.

        Raises:
            UserError: the text is none of the known forms, or the range is upside down.
        """
        text = str(value).strip()
        parts = text.split(":")
        if isinstance(value, bool) or len(parts) > 2:
            raise UserError(key, value, _RULE)
        amounts = [_parse_amount(part, key=key, whole=value) for part in parts]
        low, high = amounts[0], amounts[-1]
        if low.is_fraction == high.is_fraction and len(parts) == 2 and low.value >= high.value:
            raise UserError(key, value, "a range goes from the smaller to the larger budget, as in 0.3:0.8")
        return cls(low=low, high=high, text=text)

    def resolve(self, *, dense_macs: int, min_macs: int, key: str = "target_flops") -> "Budget":
        """The budget in MACs of one network.

        Raises:
            InfeasibleError: an end lies above the dense network or below the smallest reachable one.
        """
        low, high = self.low.macs(dense_macs), self.high.macs(dense_macs)
        if low > high:
            raise UserError(key, self.text, f"means {low:,} to {high:,} MACs here: upside down")
        for end in (low, high):
            if not min_macs <= end <= dense_macs:
                raise InfeasibleError(key, self.text, _reachable(end, dense_macs=dense_macs, min_macs=min_macs))
        return Budget(low_macs=low, high_macs=high, dense_macs=dense_macs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The MACs that candidates may spend: anything in [low_macs, high_macs]; one budget where both are equal."""

    low_macs: int
    high_macs: int
    dense_macs: int

    def __post_init__(self) -> None:
        if not 0 < self.low_macs <= self.high_macs <= self.dense_macs:
            raise ValueError(f"a budget needs 0 < low <= high <= dense, got {self}")

    @property
    def is_pinned(self) -> bool:
        """Whether every candidate has the same budget."""
        return self.low_macs == self.high_macs


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTarget:
    """The most milliseconds of a forward pass, or a share in (0, 1] of the dense network's."""

    value: float
    is_fraction: bool
    text: str

    @classmethod
    def parse(cls, value: object, *, key: str = "target_latency") -> "LatencyTarget":
        """Read 3ms, 800us, 0.2s, 0.5 or 50%.

        Raises:
            UserError: the text is none of these.
        """
        text = str(value).strip()
        match = _DURATION.fullmatch(text)
        if match is None or isinstance(value, bool):
            raise UserError(key, value, _LATENCY_RULE)
        number, unit = float(match["number"]), match["unit"].lower()
        if unit in _MILLISECONDS:
            found = cls(value=number * _MILLISECONDS[unit], is_fraction=False, text=text)
        else:
            found = cls(value=number / 100 if unit == "%" else number, is_fraction=True, text=text)
        if not found.value > 0:
            raise UserError(key, value, "must be above zero")
        if found.is_fraction and found.value > 1:
            raise UserError(key, value, f"{_LATENCY_RULE}; above 1 it needs a unit")
        return found

    def milliseconds(self, dense_ms: float) -> float:
        """What this allows beside a dense network that takes `dense_ms`."""
        return self.value * dense_ms if self.is_fraction else self.value

    def resolve(self, *, dense_ms: float, smallest_ms: float, key: str = "target_latency") -> float:
        """The budget in milliseconds of one network.

        Raises:
            InfeasibleError: it lies above the dense network or below the smallest reachable one.
        """
        limit = self.milliseconds(dense_ms)
        if smallest_ms <= limit <= dense_ms:
            return limit
        side = "more than the dense network takes" if limit > dense_ms else "less than the smallest reachable one takes"
        low = math.ceil(1000 * smallest_ms / dense_ms) / 1000
        rule = (
            f"is {limit:.3g} ms, {side}; reachable here: {low:g} to 1 of dense, "
            f"{math.ceil(1000 * smallest_ms) / 1000:g} to {math.floor(1000 * dense_ms) / 1000:g} ms"
        )
        raise InfeasibleError(key, self.text, rule)


def format_macs(macs: float) -> str:
    """Four digits and a unit: 40551040 gives 40.55M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if macs >= size:
            return f"{macs / size:.2f}{unit}"
    return f"{macs:.0f}"


def _parse_amount(text: str, *, key: str, whole: object) -> Amount:
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise UserError(key, whole, _RULE)
    try:
        number = float(match["number"].replace("_", ""))
    except ValueError:
        raise UserError(key, whole, _RULE) from None
    unit = match["unit"].upper()
    if unit == "%":
        number, unit = number / 100, ""
        if number > 1:
            raise UserError(key, whole, "a share of the dense network is at most 100%")
        amount = Amount(value=number, is_fraction=True)
    elif unit:
        amount = Amount(value=number * _UNITS[unit], is_fraction=False)
    else:
        amount = Amount(value=number, is_fraction=number <= 1)
    if amount.value <= 0:
        raise UserError(key, whole, "must be above zero")
    return amount


def _reachable(macs: int, *, dense_macs: int, min_macs: int) -> str:
    low = math.ceil(1000 * min_macs / dense_macs) / 1000
    side = "more than the dense network has" if macs > dense_macs else "less than the smallest reachable network has"
    return (
        f"is {format_macs(macs)} MACs, {side}; reachable here: {low:g} to 1 of dense, "
        f"{format_macs(min_macs)} to {format_macs(dense_macs)} MACs"
    )
