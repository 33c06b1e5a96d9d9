"""First-order Taylor expansion of the loss in the activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import Categorical, ChannelGroup, Domain


@METHODS.register("taylor_activation", paper="arXiv:1611.06440")
@dataclass(frozen=True, slots=True, kw_only=True)
class TaylorActivation:
    """Absolute change of the loss, to first order, if the channel's activation were zero; small ones go first.

    Activation x gradient, summed over positions; `sample` takes the absolute value of each sample's sum, `batch` that
    of the mean over all samples.

    Source: Molchanov et al., Pruning CNNs for Resource Efficient Inference, arXiv:1611.06440, equation 8 and the note
    below it; the activation is what the next layers read, summed over all of them where several do.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"average": Categorical(choices=("sample", "batch"))}
    needs: ClassVar[frozenset[str]] = frozenset({"activations"})
    fidelity: ClassVar[str] = "taken where the next layers read, summed over them"

    average: str = "sample"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        if self.average == "batch":
            return evidence.figure(group, figures.MASK_SUM).abs()
        return evidence.figure(group, figures.MASK_ABSOLUTE)
