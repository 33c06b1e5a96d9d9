"""Hand a removed channel's work to the kept channel that is most like it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pruners.evidence import Evidence
from pruners.plan import Plan
from pruners.registries import STEPS
from pruners.rewrite import cut_tensors, overwrite
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Domain, Float, Slice


@STEPS.register("merge", paper="arXiv:2206.08186")
@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Add the columns that read a removed channel to those that read its nearest kept one; exact for equal channels.

    Source: the merging of clustered filters in Asymptotic Soft Cluster Pruning, arXiv:2206.08186: W_next[:, kept] +=
    W_next[:, duplicate]. The paper trains the members of a cluster towards each other first; here the network is merged
    as it is, so a channel is only merged within a radius (our adaptation). Exact where the filters, biases and
    batch-norm entries are equal.

    Attributes:
        radius: largest distance of the two filters, as a fraction of the removed one's norm.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"radius": Float(low=0.1, high=2.0, log=True)}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "the merge alone, without the training that makes filters alike"

    radius: float = 1.0

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        tensors = dict(named_tensors(dense))
        kept = dict(plan)
        changed: dict[str, Tensor] = {}
        for group in groups:
            heirs = self.heirs(group, kept.get(group.name, tuple(range(group.width))), evidence)
            for piece in group.with_role("consumer") if heirs else ():
                weight = changed.setdefault(piece.tensor, tensors[piece.tensor].detach().clone())
                _add_columns(weight, piece, heirs)
        return overwrite(model, cut_tensors(changed, groups, plan))

    def heirs(self, group: ChannelGroup, kept: Sequence[int], evidence: Evidence) -> dict[int, int]:
        """Removed channel -> the kept one that takes its columns over, where one is near enough."""
        gone = sorted(set(range(group.width)).difference(kept))
        if not gone:
            return {}
        nearest = evidence.distances(group)[gone][:, list(kept)].min(dim=1)
        reach = self.radius * evidence.filters(group)[gone].norm(dim=1)
        pairs = zip(gone, nearest.indices.tolist(), (nearest.values <= reach).tolist(), strict=True)
        return {channel: kept[index] for channel, index, near in pairs if near}


def _add_columns(weight: Tensor, piece: Slice, heirs: Mapping[int, int]) -> None:
    """In place: to the heirs' positions along the piece's axis, those of the channels that go."""
    source = torch.tensor([p for channel in heirs for p in piece.positions[channel]], device=weight.device)
    target = torch.tensor([p for heir in heirs.values() for p in piece.positions[heir]], device=weight.device)
    weight.index_add_(piece.axis, target, weight.index_select(piece.axis, source))
