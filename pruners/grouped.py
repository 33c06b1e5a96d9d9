"""Layers whose groups of filters read different inputs: gather, (grouped) convolutions, concatenate.

The convolutions and linear layers inside are PyTorch's own, so that counters, exporters and compilers see what really
runs. Shape legend: n filters, c input channels.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruners.clone import clone
from spaces import PlanError

Layer: TypeAlias = nn.Conv2d | nn.Linear
Group: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Filters, and the inputs that they read."""


class GroupedLayer(nn.Module):
    """A convolution or linear layer in parts: y = restore(cat(part(x[inputs of the part]))) + bias.

    Filters that read nothing give zero (and their bias). `gather` and `restore` are buffers of channel positions, None
    where they would change nothing; both travel with the state dict.
    """

    gather: Tensor | None
    restore: Tensor | None

    def __init__(
        self,
        parts: Sequence[Layer],
        *,
        gather: Tensor | None,
        restore: Tensor | None,
        num_dead: int,
        bias: Tensor | None,
    ) -> None:
        """Join parts.

        Args:
            parts: without biases, all convolutions or all linear; each reads the next of the gathered channels.
            gather: positions in the input, shape (inputs of all parts,).
            restore: for each output, its position among the parts' outputs and then the dead ones, shape (n,).
            num_dead: outputs that no part computes.
            bias: shape (n,).
        """
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.register_buffer("gather", gather)
        self.register_buffer("restore", restore)
        self.num_dead = num_dead
        self.bias = None if bias is None else nn.Parameter(bias)
        self.is_convolution = isinstance(parts[0], nn.Conv2d)
        self.sizes = [part.in_channels if isinstance(part, nn.Conv2d) else part.in_features for part in parts]

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output: (B, n, H, W) of (B, c, H, W), or (..., n) of (..., c)."""
        dim = -3 if self.is_convolution else -1
        if self.gather is not None:
            x = x.index_select(dim, self.gather)
        pieces = x.split(self.sizes, dim=dim) if len(self.sizes) > 1 else (x,)
        out = torch.cat([part(piece) for part, piece in zip(self.parts, pieces, strict=True)], dim=dim)
        if self.num_dead:
            out = functional.pad(out, (0, 0, 0, 0, 0, self.num_dead) if self.is_convolution else (0, self.num_dead))
        if self.restore is not None:
            out = out.index_select(dim, self.restore)
        if self.bias is not None:
            out = out + (self.bias[:, None, None] if self.is_convolution else self.bias)
        return out


def grouped(layer: Layer, mask: Tensor) -> GroupedLayer:
    """The layer with only the connections in `mask` (n, c), bool; it answers like `layer` with the others at zero.

    Filters that read the same inputs form a group. Groups of a convolution that have equally many filters and equally
    many inputs become one grouped convolution.

    Raises:
        PlanError: no connection is left, or the layer is grouped already.
    """
    if not bool(mask.any()):
        raise PlanError("a layer needs at least one connection")
    if isinstance(layer, nn.Conv2d) and layer.groups != 1:
        raise PlanError(f"a layer that is regrouped must have one group, it has {layer.groups}")
    groups, dead = _groups(mask)
    bundles = _bundles(groups, together=isinstance(layer, nn.Conv2d))
    order = [f for bundle in bundles for filters, _ in bundle for f in filters] + dead
    inputs = [i for bundle in bundles for _, read in bundle for i in read]
    device = layer.weight.device
    made = GroupedLayer(
        [_part(layer, bundle) for bundle in bundles],
        gather=None if inputs == list(range(mask.size(1))) else torch.tensor(inputs, device=device),
        restore=None if order == sorted(order) else torch.tensor(order, device=device).argsort(),
        num_dead=len(dead),
        bias=None if layer.bias is None else layer.bias.detach().clone(),
    )
    return made.train(layer.training)


def replace_layers(model: nn.Module, layers: Mapping[str, nn.Module]) -> nn.Module:
    """Put `layers` in the place of the modules of these names, in place; a module with several names is put in all."""
    old = {id(model.get_submodule(name)): new for name, new in layers.items()}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in old:
                setattr(parent, name, old[id(child)])
    return model


def describe(model: nn.Module) -> dict[str, Any]:
    """The structure of every grouped layer by name, as plain JSON data; empty where there is none."""
    return {name: _describe(module) for name, module in model.named_modules() if isinstance(module, GroupedLayer)}


def rebuild(model: nn.Module, structure: Mapping[str, Any]) -> nn.Module:
    """Give `model` the grouped layers of `describe`, in place, with undefined contents: load a state dict afterwards.

    Raises:
        PlanError: the structure names a layer that this network does not have.
    """
    made: dict[str, nn.Module] = {}
    for name, layer in structure.items():
        try:
            old = model.get_submodule(name)
        except AttributeError as error:
            raise PlanError(f"the architecture names {name!r}, which this model does not have") from error
        tensor = next(old.parameters())
        made[name] = _rebuilt(layer).to(device=tensor.device, dtype=tensor.dtype).train(old.training)
    return replace_layers(model, made)


def _groups(mask: Tensor) -> tuple[list[Group], list[int]]:
    """Groups in the order of their first filters, and filters that read nothing."""
    members: dict[tuple[bool, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(mask.tolist()):
        members[tuple(row)].append(index)
    dead = members.pop((False,) * mask.size(1), [])
    read = {row: tuple(i for i, kept in enumerate(row) if kept) for row in members}
    return [(tuple(filters), read[row]) for row, filters in members.items()], dead


def _bundles(groups: list[Group], *, together: bool) -> list[list[Group]]:
    """Groups that one part computes: those of equal shape, or each alone."""
    if not together:
        return [[group] for group in groups]
    by_shape: dict[tuple[int, int], list[Group]] = defaultdict(list)
    for group in groups:
        by_shape[len(group[0]), len(group[1])].append(group)
    return list(by_shape.values())


def _part(layer: Layer, bundle: list[Group]) -> Layer:
    blocks = [layer.weight.detach()[list(filters)][:, list(inputs)] for filters, inputs in bundle]
    weight = nn.Parameter(torch.cat(blocks).contiguous())
    num_outputs, num_inputs = len(weight), len(bundle) * weight.size(1)
    part: Layer = clone(layer, {id(layer.weight): weight})  # ten times as fast as a new one, which draws weights
    part.bias = None
    if isinstance(part, nn.Conv2d):
        part.in_channels, part.out_channels, part.groups = num_inputs, num_outputs, len(bundle)
    else:
        part.in_features, part.out_features = num_inputs, num_outputs
    return part


def _geometry(layer: nn.Conv2d) -> dict[str, Any]:
    names = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
    return {name: getattr(layer, name) for name in names}


def _convolution(geometry: Mapping[str, Any], num_inputs: int, num_outputs: int, groups: int) -> nn.Conv2d:
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in geometry.items()
    }
    return nn.Conv2d(num_inputs, num_outputs, groups=groups, bias=False, device="meta", **arguments)


def _describe(layer: GroupedLayer) -> dict[str, Any]:
    first = layer.parts[0]
    widths = [
        [p.in_channels, p.out_channels, p.groups] if isinstance(p, nn.Conv2d) else [*reversed(p.weight.shape), 1]
        for p in layer.parts
        if isinstance(p, Layer)
    ]
    geometry = _geometry(first) if isinstance(first, nn.Conv2d) else None
    return {
        "geometry": geometry and {k: list(v) if isinstance(v, tuple) else v for k, v in geometry.items()},
        "parts": [{"inputs": i, "outputs": o, "groups": g} for i, o, g in widths],
        "gather": layer.gather is not None,
        "restore": layer.restore is not None,
        "num_dead": layer.num_dead,
        "bias": layer.bias is not None,
    }


def _rebuilt(structure: Mapping[str, Any]) -> nn.Module:
    parts: list[Layer] = []
    for part in structure["parts"]:
        if structure["geometry"] is None:
            parts.append(nn.Linear(part["inputs"], part["outputs"], bias=False, device="meta"))
        else:
            parts.append(_convolution(structure["geometry"], part["inputs"], part["outputs"], part["groups"]))
    num_inputs = sum(part["inputs"] for part in structure["parts"])
    num_outputs = sum(part["outputs"] for part in structure["parts"]) + structure["num_dead"]
    layer = GroupedLayer(
        parts,
        gather=torch.zeros(num_inputs, dtype=torch.int64, device="meta") if structure["gather"] else None,
        restore=torch.zeros(num_outputs, dtype=torch.int64, device="meta") if structure["restore"] else None,
        num_dead=structure["num_dead"],
        bias=torch.zeros(num_outputs, device="meta") if structure["bias"] else None,
    )
    return layer.to_empty(device="cpu")
