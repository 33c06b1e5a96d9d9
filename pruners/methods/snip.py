"""Connection sensitivity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("snip", paper="arXiv:1810.02340")
@dataclass(frozen=True, slots=True, kw_only=True)
class SNIP:
    """Sum of |w x mean gradient| over everything that computes the channel; insensitive ones go first.

    Source: Lee et al., SNIP, arXiv:1810.02340; the paper scores single weights before training, here the
    weights of a channel are summed and the network is trained.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})
    fidelity: ClassVar[str] = "summed over a channel's weights; on the trained network"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return evidence.figure(group, figures.SENSITIVITY)
