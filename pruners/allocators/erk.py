"""More of the large layers than of the small ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pruners.allocation import producers
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.registries import ALLOCATORS
from spaces import ChannelGroup, Domain, Float


@ALLOCATORS.register("erk", paper="arXiv:1911.11134")
@dataclass(frozen=True, slots=True, kw_only=True)
class ERK:
    """Erdős-Rényi-kernel densities: (outputs + inputs + kernel height + width) / their product, times a constant.

    Source: Evci et al., Rigging the Lottery, arXiv:1911.11134, section 3 (1). An ADAPTATION from weights to channels:
    cutting outputs and inputs alike multiplies, so the kept share of channels is the density to the power `exponent`
    (0.5 gives the published density of weights). The constant follows from `ratio`; densities stop at 1.

    Attributes:
        exponent: 0 is the uniform share.
        ratio: removed fraction of the group with the lowest density.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"exponent": Float(low=0.0, high=1.5)}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    scalar: ClassVar[str | None] = "ratio"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    fidelity: ClassVar[str] = "channels in the place of single weights"

    exponent: float = 0.5
    ratio: float = 0.5

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        raw = np.array([_density(producers(group, evidence)) for group in groups])
        kept: FloatArray = np.minimum(1.0, (1 - self.ratio) * (raw / raw.min()) ** self.exponent)
        return 1 - kept


def _density(shapes: Sequence[tuple[int, ...]]) -> float:
    """Sum over layers of (outputs + inputs + kernel) over sum of their numbers of weights."""
    return sum(sum(shape) for shape in shapes) / sum(float(np.prod(shape)) for shape in shapes)
