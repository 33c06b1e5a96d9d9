"""The same share of every group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain


@ALLOCATORS.register("uniform")
@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Remove the fraction `ratio` of every group; the baseline that is hard to beat."""

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset()
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    ratio: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise ValueError(f"needs 0 <= ratio <= 1, got {self.ratio}")

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        return np.full(len(groups), self.ratio)
