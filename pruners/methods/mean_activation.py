"""Mean absolute activation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("mean_activation", paper="arXiv:1611.06440")
@dataclass(frozen=True, slots=True, kw_only=True)
class MeanActivation:
    """Mean absolute activation where the group's first consumer reads it; weak ones go first.

    Source: Molchanov et al., arXiv:1611.06440, section 2.2 (the baseline; behind a ReLU the absolute value changes
    nothing).
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"activations"})
    fidelity: ClassVar[str] = "absolute value, for activations that can be negative"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return evidence.activation(group)
