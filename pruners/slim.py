"""Build the really smaller network.

The dense network's structure is copied with every parameter and buffer replaced by its slice on the way, so the dense
weights are never duplicated and nothing is shared. Then each layer's own record of its widths is brought in line.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pruners.attributes import get_number, set_number
from pruners.clone import clone
from pruners.grouping import Place
from pruners.ledger import RECORD, IntArray
from pruners.plan import Plan
from pruners.positions import Positions, positions_of
from pruners.tracer import named_tensors
from spaces import ChannelGroup, PlanError

CHUNK = 1 << 20
"""Elements of a large weight that are gathered at a time, so that what lies between fits the cache."""


def slim(model: nn.Module, groups: Sequence[ChannelGroup], plan: Plan, *, share: bool = False) -> nn.Module:
    """A new network that keeps what `plan` names; `model` is untouched and shares nothing with it.

    With `share`, tensors of which nothing is cut are the dense network's own: for a look that changes nothing.

    Raises:
        PlanError: the plan names an unknown group or a channel that it doesn't have.
    """
    cuts = _cuts(groups, plan)
    known: dict[tuple[object, ...], Tensor] = {}
    memo: dict[int, object] = {}
    rows: dict[int, Tensor] = {}
    for name, tensor in named_tensors(model):
        by_axis = cuts.get(name)
        if share and by_axis is None:
            memo[id(tensor)] = tensor
            continue
        data = tensor.detach()
        indices = {} if by_axis is None else _indices(data, by_axis, known)
        piece = _gather(data, indices) if indices else data.clone()
        memo[id(tensor)] = new = (
            nn.Parameter(piece, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else piece
        )
        if 0 in indices:
            rows[id(new)] = indices[0]
    small: nn.Module = clone(model, memo)
    for module in small.modules():
        agree(module, rows.get(id(getattr(module, "weight", None))))
    for name, by_axis in cuts.items():
        if RECORD in by_axis:
            gone = sum(len(cut.positions.of(cut.gone)) for cut in by_axis[RECORD])
            set_number(small, name, get_number(model, name) - gone)
    return small


@dataclass(frozen=True, slots=True)
class Cut:
    """Channels of one group that go, and what they own along one axis."""

    positions: Positions
    gone: IntArray


def _cuts(groups: Sequence[ChannelGroup], plan: Plan) -> dict[str, dict[int, list[Cut]]]:
    """Tensor -> axis -> what goes."""
    by_name = {group.name: group for group in groups}
    cuts: dict[str, dict[int, list[Cut]]] = {}
    for name, kept in plan:
        if name not in by_name:
            raise PlanError(f"plan names an unknown group {name!r}")
        group = by_name[name]
        if kept[-1] >= group.width:
            raise PlanError(f"plan for {name}: channel {kept[-1]} of {group.width}")
        if len(kept) == group.width:
            continue
        stays = np.zeros(group.width, dtype=bool)
        stays[list(kept)] = True
        gone = np.flatnonzero(~stays)
        for piece in (*group.slices, *group.records):
            cut = Cut(positions_of(piece.positions), gone)
            cuts.setdefault(piece.tensor, {}).setdefault(piece.axis, []).append(cut)
    return cuts


def removed_positions(groups: Sequence[ChannelGroup], plan: Plan) -> dict[Place, list[int]]:
    """(tensor, axis) -> positions that go."""
    removed: dict[Place, list[int]] = defaultdict(list)
    for name, by_axis in _cuts(groups, plan).items():
        for axis, cuts in ((axis, cuts) for axis, cuts in by_axis.items() if axis != RECORD):
            for cut in cuts:
                removed[name, axis].extend(cut.positions.of(cut.gone).tolist())
    return dict(removed)


def _indices(
    tensor: Tensor, by_axis: Mapping[int, Sequence[Cut]], known: dict[tuple[object, ...], Tensor]
) -> dict[int, Tensor]:
    """Axis -> positions that stay; axes cut alike share the answer."""
    found = {}
    for axis, cuts in by_axis.items():
        size = tensor.size(axis)
        key = (size, tensor.device, *((id(cut.positions), id(cut.gone)) for cut in cuts))
        if key not in known:
            keep = np.ones(size, dtype=bool)
            for cut in cuts:
                keep[cut.positions.of(cut.gone)] = False
            known[key] = torch.from_numpy(np.flatnonzero(keep)).to(tensor.device)
        found[axis] = known[key]
    return found


def _gather(tensor: Tensor, indices: Mapping[int, Tensor]) -> Tensor:
    """The slice of `tensor` at `indices` of some axes, in its memory format."""
    last = tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    rows, columns = indices.get(0), indices.get(1)
    if len(indices) == 2 and rows is not None and columns is not None and tensor.numel() > CHUNK:
        piece = tensor.new_empty((len(rows), len(columns), *tensor.shape[2:]))
        step = max(1, CHUNK * len(tensor) // tensor.numel())
        for first in range(0, len(rows), step):
            some = tensor.index_select(0, rows[first : first + step])
            torch.index_select(some, 1, columns, out=piece[first : first + step])
    else:
        piece = tensor
        for axis, index in sorted(indices.items()):
            piece = piece.index_select(axis, index)
    return piece.contiguous(memory_format=torch.channels_last) if last else piece


def resize(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> nn.Module:
    """Give parameters and buffers the shapes in `shapes`, with undefined contents, and layers' records with them.

    Args:
        model: changed in place and returned; on the meta device this costs nothing.
        shapes: full names of parameters and buffers, non-persistent ones too; names not mentioned stay.

    Raises:
        PlanError: a name that the model does not have.
    """
    known = dict(named_tensors(model))
    new: dict[int, Tensor] = {}
    for name, shape in shapes.items():
        if name not in known:
            raise PlanError(f"the architecture names {name!r}, which this model does not have")
        old = known[name]
        if tuple(old.shape) != tuple(shape):
            empty = torch.empty(tuple(shape), dtype=old.dtype, device=old.device)
            learned = isinstance(old, nn.Parameter)
            new[id(old)] = nn.Parameter(empty, requires_grad=old.requires_grad) if learned else empty
    for module in model.modules():
        for table in (module.__dict__["_parameters"], module.__dict__["_buffers"]):
            table.update({name: new[id(old)] for name, old in table.items() if id(old) in new})  # tied ones stay tied
        agree(module)
    return model


def agree(module: nn.Module, stayed: Tensor | None = None) -> None:
    """Bring a layer's record of its widths in line with its tensors' shapes; of its weight, rows `stayed` are left."""
    if isinstance(module, nn.modules.conv._ConvNd):
        _agree_convolution(module, stayed)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        tensor = module.running_mean if module.running_mean is not None else module.weight
        if tensor is not None:
            module.num_features = tensor.numel()
    elif isinstance(module, nn.GroupNorm) and module.weight is not None:
        size = module.num_channels // module.num_groups
        module.num_channels = module.weight.numel()
        module.num_groups = module.num_channels // size
    elif isinstance(module, nn.LayerNorm) and module.weight is not None:
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.numel()


def _agree_convolution(module: nn.modules.conv._ConvNd, stayed: Tensor | None) -> None:
    rows, columns = module.weight.shape[:2]
    if module.groups > 1 and module.groups == module.in_channels:
        each = 1 if module.transposed else module.out_channels // module.groups
        # Depthwise, one group per input, unless each group lost some of its rows: an earlier cut left it one input.
        if each == 1 or stayed is None or len(torch.unique(stayed // each)) * each == rows:
            module.groups = rows // each
    module.in_channels = rows if module.transposed else columns * module.groups
    module.out_channels = columns * module.groups if module.transposed else rows
