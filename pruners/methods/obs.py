"""What the next layers lose although they are refitted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("obs", paper="arXiv:2302.04089")
@dataclass(frozen=True, slots=True, kw_only=True)
class OBS:
    """Place of a channel in a greedy elimination that refits the next layers each time; the first to go scores 0.

    Source: structured optimal brain surgeon of ZipLM, arXiv:2302.04089, equations 2 and 3, on convolutions. Goes with
    the step `reconstruct`, which does the refit. Where no reader of the group has moments, the filters' squared norms.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"elimination"})
    fidelity: ClassVar[str] = "channels of convolutions; wide groups lose several channels per turn"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        found = evidence.elimination(group)
        if found is None:
            return evidence.filters(group).square().sum(dim=1)
        return found.places
