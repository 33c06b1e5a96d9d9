"""New values for the weights of a cut network."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.plan import Plan
from pruners.slim import removed_positions
from pruners.tracer import named_tensors
from spaces import ChannelGroup


def cut_tensors(tensors: Mapping[str, Tensor], groups: Sequence[ChannelGroup], plan: Plan) -> dict[str, Tensor]:
    """Tensors of the dense network, by state-dict name, without the positions that the plan removes."""
    cut = dict(tensors)
    for (name, axis), positions in removed_positions(groups, plan).items():
        if name in cut:
            stays = torch.ones(cut[name].size(axis), dtype=torch.bool)
            stays[positions] = False
            cut[name] = cut[name].index_select(axis, stays.nonzero().squeeze(1).to(cut[name].device))
    return cut


def overwrite(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Copy values of the right shapes into parameters and buffers; the model is changed in place and returned."""
    own = dict(named_tensors(model))
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)
    return model
