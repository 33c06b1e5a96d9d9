"""The values that a hyper-parameter may take. A sampler draws from them; a user's value is checked against them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = float | int | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Float:
    """Real numbers in [low, high]; `log` draws them evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"Float needs low < high, and low > 0 with log; got {self}")

    def contains(self, value: object) -> bool:
        """Whether `value` is a number inside the closed range."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """Whole numbers in [low, high]; `log` draws them evenly in their logarithm."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"Integer needs low < high, and low > 0 with log; got {self}")

    def contains(self, value: object) -> bool:
        """Whether `value` is a whole number inside the closed range."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{' (log, whole)' if self.log else ' (whole)'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Categorical:
    """One of a few values without order."""

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.choices or len(set(self.choices)) != len(self.choices):
            raise ValueError(f"Categorical needs distinct choices, at least one; got {self.choices}")

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the choices."""
        return value in self.choices

    def __str__(self) -> str:
        return "{" + ", ".join(str(choice) for choice in self.choices) + "}"


Domain: TypeAlias = Float | Integer | Categorical
Suggest: TypeAlias = Callable[[str, Domain], Value]
"""Answers (parameter name, its domain) with a value: a sampler's draw, or the stored value of a known trial."""
