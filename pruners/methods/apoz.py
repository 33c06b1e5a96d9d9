"""Average percentage of zeros."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("apoz", paper="arXiv:1607.03250")
@dataclass(frozen=True, slots=True, kw_only=True)
class APoZ:
    """Share of the channel's activations that are not zero; channels that are mostly silent go first.

    Where the activation function gives no exact zeros, the mean activation decides, which otherwise only breaks ties.

    Source: Hu et al., Network Trimming, arXiv:1607.03250, equation 1 (score = 1 - APoZ), where the next layer reads.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"activations"})
    fidelity: ClassVar[str] = "taken where the next layer reads; ties by mean activation"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        activation = evidence.activation(group)
        speaking = 1 - evidence.figure(group, figures.ZEROS)
        return speaking + 1e-9 * activation / activation.max().clamp_min(1e-30)
