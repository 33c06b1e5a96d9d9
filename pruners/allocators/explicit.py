"""A vector that somebody else proposes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain


@ALLOCATORS.register("explicit")
@dataclass(frozen=True, slots=True, kw_only=True)
class Explicit:
    """Nothing is removed on its own account: the candidate's offsets are the vector of removed fractions."""

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset()
    scalar: ClassVar[str | None] = None
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        return np.zeros(len(groups))
