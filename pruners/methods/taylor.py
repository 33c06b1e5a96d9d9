"""First-order Taylor expansion of the loss in the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import Categorical, ChannelGroup, Domain

FORMS = {"filter": figures.FILTER_TAYLOR, "element": figures.ELEMENT_TAYLOR, "gate": figures.GATE_TAYLOR}


@METHODS.register("taylor", paper="arXiv:1906.10771")
@dataclass(frozen=True, slots=True, kw_only=True)
class Taylor:
    """Squared change of the loss, to first order, if the channel's weights were zero; small ones go first.

    `filter`: (sum of w g)^2 over everything that computes the channel; `element`: sum of (w g)^2; `gate`: (gamma
    g_gamma + beta g_beta)^2 of the batch norms, or `filter` where there are none. Each is averaged over batches.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, arXiv:1906.10771 (first-order criteria;
    `gate` is its Taylor-FO-BN). Gradients are those of the trained network in eval mode, coupled layers share one sum.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"form": Categorical(choices=tuple(FORMS))}
    needs: ClassVar[frozenset[str]] = frozenset({"gradients"})
    fidelity: ClassVar[str] = "coupled layers share one sum; one-shot instead of while training"

    form: str = "filter"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        return evidence.figure(group, FORMS[self.form])
