"""Leave out whole residual blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from pruners.blocks import remove_blocks
from pruners.cost import CostModel
from pruners.evidence import Evidence
from pruners.plan import Plan
from pruners.registries import STEPS
from spaces import ChannelGroup, Domain, Float


@STEPS.register("remove_blocks", paper="arXiv:2405.17081")
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveBlocks:
    """Put identities in the place of the residual blocks without which the network's features change least.

    Source: Pons et al., Effective Layer Pruning Through Similarity Metric Perspective, arXiv:2405.17081: linear CKA
    between the features before the classifier with a block and without. The paper measures again after each removal and
    its training; here all blocks are measured once on the dense network. A network without residual blocks stays as it
    is.

    Attributes:
        fraction: of the blocks whose output can be replaced by their input, at least one.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"fraction": Float(low=0.02, high=0.6)}
    needs: ClassVar[frozenset[str]] = frozenset({"blocks"})
    fidelity: ClassVar[str] = "similarities measured once, not after every removal"

    fraction: float = 0.2

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        return remove_blocks(model, self.chosen(evidence))

    def cost(self, cost: CostModel, evidence: Evidence) -> CostModel:
        """What networks cost after this step, for any widths: channels are cut to the budget by this model."""
        return cost.without_layers(self.chosen(evidence))

    def chosen(self, evidence: Evidence) -> tuple[str, ...]:
        """Blocks that go, most dispensable first; equal ones from the end of the network."""
        names = list(evidence.blocks)[::-1]
        ranked = sorted(names, key=lambda name: -evidence.blocks[name])
        return tuple(ranked[: max(1, round(self.fraction * len(ranked)))])
