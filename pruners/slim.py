"""Build the really smaller network.

The dense network is copied with every parameter and buffer replaced by its slice on the way (a primed deep-copy memo),
so the dense weights are never duplicated and nothing is shared. Then each layer's own record of its widths is brought
in line.
"""

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pruners.grouping import Place
from pruners.plan import Plan
from pruners.tracer import named_tensors
from spaces import ChannelGroup, PlanError


def slim(model: nn.Module, groups: Sequence[ChannelGroup], plan: Plan) -> nn.Module:
    """A new network that keeps what `plan` names; `model` is untouched and shares nothing with it.

    Raises:
        PlanError: the plan names an unknown group or a channel that it doesn't have.
    """
    removed = removed_positions(groups, plan)
    by_tensor: dict[str, dict[int, list[int]]] = defaultdict(dict)
    for (name, axis), positions in removed.items():
        by_tensor[name][axis] = positions
    memo: dict[int, object] = {}
    for name, tensor in named_tensors(model):
        piece = _cut(tensor.detach(), by_tensor.get(name, {}))
        memo[id(tensor)] = (
            nn.Parameter(piece, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else piece
        )
    small = copy.deepcopy(model, memo)
    for module in small.modules():
        agree(module)
    return small


def removed_positions(groups: Sequence[ChannelGroup], plan: Plan) -> dict[Place, list[int]]:
    """(tensor, axis) -> positions that go."""
    by_name = {group.name: group for group in groups}
    removed: dict[Place, list[int]] = defaultdict(list)
    for name, kept in plan:
        if name not in by_name:
            raise PlanError(f"plan names an unknown group {name!r}")
        group = by_name[name]
        if kept[-1] >= group.width:
            raise PlanError(f"plan for {name}: channel {kept[-1]} of {group.width}")
        if len(kept) == group.width:
            continue
        gone = sorted(set(range(group.width)).difference(kept))
        for piece in group.slices:
            removed[piece.tensor, piece.axis].extend(p for channel in gone for p in piece.positions[channel])
    return removed


def _cut(tensor: Tensor, removed: Mapping[int, list[int]]) -> Tensor:
    piece = tensor
    for axis, positions in removed.items():
        keep = torch.ones(tensor.size(axis), dtype=torch.bool)
        keep[positions] = False
        piece = piece.index_select(axis, keep.nonzero().squeeze(1).to(piece.device))
    return piece.clone() if piece is tensor else piece


def resize(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """Give parameters and buffers the shapes in `shapes`, with undefined contents, and layers' records with them.

    Args:
        model: changed in place and returned; on the meta device this costs nothing.
        shapes: full names of parameters and buffers, non-persistent ones too; names not mentioned stay.

    Raises:
        PlanError: a name that the model does not have.
    """
    known = {name for name, _ in named_tensors(model)}
    for name, shape in shapes.items():
        if name not in known:
            raise PlanError(f"the architecture names {name!r}, which this model does not have")
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        old = getattr(module, leaf)
        if tuple(old.shape) != tuple(shape):
            new = torch.empty(tuple(shape), dtype=old.dtype, device=old.device)
            value = nn.Parameter(new, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else new
            setattr(module, leaf, value)
    for module in model.modules():
        agree(module)
    return model


def agree(module: nn.Module) -> None:
    """Bring a layer's record of its widths in line with the shapes of its tensors."""
    if isinstance(module, nn.modules.conv._ConvNd):
        _agree_convolution(module)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        tensor = module.running_mean if module.running_mean is not None else module.weight
        if tensor is not None:
            module.num_features = tensor.numel()
    elif isinstance(module, nn.LayerNorm) and module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.numel()


def _agree_convolution(module: nn.modules.conv._ConvNd) -> None:
    out_axis, in_axis = (1, 0) if module.transposed else (0, 1)
    if module.groups > 1 and module.groups == module.in_channels and not module.transposed:
        module.groups = module.weight.size(0) // (module.out_channels // module.groups)
    module.in_channels = module.weight.size(in_axis) * (1 if module.transposed else module.groups)
    module.out_channels = module.weight.size(out_axis) * (module.groups if module.transposed else 1)
