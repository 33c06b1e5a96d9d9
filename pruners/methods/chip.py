"""Channel independence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain


@METHODS.register("chip", paper="arXiv:2110.13981")
@dataclass(frozen=True, slots=True, kw_only=True)
class CHIP:
    """Loss of nuclear norm of the layer's feature maps without the channel; what the others can express goes first.

    Source: Sui et al., CHIP, arXiv:2110.13981, averaged over images; large maps of wide layers are averaged
    down to 8 x 8 first, and few images are used.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}
    needs: ClassVar[frozenset[str]] = frozenset({"maps"})
    fidelity: ClassVar[str] = "2 to 16 images; large maps of wide layers are shrunk to 8 x 8"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return evidence.figure(group, figures.INDEPENDENCE)
