"""A smooth function of depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.allocation import coupled, depths, weighted_ratios
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain, Float


@ALLOCATORS.register("depth_curve")
@dataclass(frozen=True, slots=True, kw_only=True)
class DepthCurve:
    """Keep (1 - ratio)^s of a group, log s a parabola over its depth t in [-1, 1]; three numbers shape every network.

    Ours: the smallest space that can tell early layers from late ones and residual widths from inner ones.

    Attributes:
        tilt: log s grows by this from the middle to the end; positive prunes late layers more.
        bend: log s at both ends against the middle; positive prunes the ends more.
        residual: added to log s where several layers share the channels; positive prunes these more.
        ratio: removed where s = 1.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "tilt": Float(low=-1.5, high=1.5),
        "bend": Float(low=-1.5, high=1.5),
        "residual": Float(low=-2.0, high=1.0),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "ours"

    tilt: float = 0.5
    bend: float = 0.0
    residual: float = 0.0
    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        t = 2 * depths(len(groups)) - 1
        strength = self.tilt * t + self.bend * t**2 + self.residual * coupled(groups, evidence)
        return weighted_ratios(self.ratio, np.exp(strength))
