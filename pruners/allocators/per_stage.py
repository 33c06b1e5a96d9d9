"""One share per stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.allocation import coupled, stage_depths, weighted_ratios
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain, Float

KNOTS = (0.0, 1 / 3, 2 / 3, 1.0)


@ALLOCATORS.register("per_stage", paper="arXiv:1608.08710")
@dataclass(frozen=True, slots=True, kw_only=True)
class PerStage:
    """Keep (1 - ratio)^s of every group of a stage, log s drawn through four knots from the first stage to the last.

    Source: Li et al., arXiv:1608.08710, section 3.2: layers of one spatial size are alike and share a rate. The rates
    there are set by hand; the knots, which fit any number of stages, are ours.

    Attributes:
        first: log s of the first stage; positive prunes more than `ratio`.
        second: at a third of the way, by linear interpolation between stages.
        third: at two thirds.
        last: of the last stage.
        residual: added where several layers share the channels.
        ratio: removed where s = 1.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        name: Float(low=-1.5, high=1.5) for name in ("first", "second", "third", "last", "residual")
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "rates by interpolation between four knots"

    first: float = -0.5
    second: float = 0.0
    third: float = 0.0
    last: float = 0.5
    residual: float = 0.0
    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        knots = (self.first, self.second, self.third, self.last)
        strength = np.interp(stage_depths(groups), KNOTS, knots) + self.residual * coupled(groups, evidence)
        return weighted_ratios(self.ratio, np.exp(strength))
