"""What each operator does to channel labels: a table from operator to rule.

Element-wise operators, pooling and reductions are here; `pruners.moves`, `pruners.norms`, `pruners.products` and
`pruners.weights` have the others. An operator is looked up by its overload packet; anything tagged point-wise by
PyTorch shares one rule, and an unknown operator leaves what it touches dense.
"""

from typing import Any

import torch
from torch import Tensor

from pruners.moves import constant, move, pad, same, slice_of, split, view
from pruners.norms import NORM_RULES
from pruners.products import PRODUCT_RULES, fixed, macs_of
from pruners.tracer import Call, Rule, Tracer, compact, core, freeze_call, tensors_in, varies
from pruners.weights import WEIGHT_RULES, combine_parameters, reduce_parameter

aten = torch.ops.aten


def rule_for(func: Any) -> Rule:
    """The rule of an operator overload; `unknown` where there is none."""
    packet = func._overloadpacket
    if packet in TABLE:
        return TABLE[packet]
    if packet._qualified_op_name in BY_NAME:
        return BY_NAME[packet._qualified_op_name]
    return pointwise if torch.Tag.pointwise in func.tags else unknown


def unknown(tracer: Tracer, call: Call) -> None:
    """The rule for operators without one: nothing they touch is cut."""
    freeze_call(tracer, call, f"operator {call.func} has no rule")
    if macs_of(call):
        fixed(tracer, call, call.func._overloadpacket.__name__, "other")


def pointwise(tracer: Tracer, call: Call) -> None:
    """Element-wise operators tie the labels they meet."""
    outs = [out for out in tensors_in(call.out) if out.is_floating_point()]
    if not outs:
        return
    shape = outs[0].shape
    tensors = [tensor for tensor in tensors_in([call.args, call.kwargs]) if tracer.info(tensor) is not None]
    parameters = [tensor for tensor in tensors if tracer.info(tensor).parameter]  # type: ignore[union-attr]
    activations = [tensor for tensor in tensors if not tracer.info(tensor).parameter]  # type: ignore[union-attr]
    if not activations:
        combine_parameters(tracer, call, parameters, outs)
        return
    result = torch.zeros((), dtype=torch.int64).expand(shape)
    sizes = torch.Size([1] * len(shape))
    for tensor in activations:
        labels = tracer.labels(tensor)
        if labels is not None:
            aligned = torch.Size([1] * (len(shape) - tensor.dim()) + list(tensor.shape))
            result = combine(tracer, (result, sizes), (labels.expand(shape), aligned))
            sizes = torch.Size([max(pair) for pair in zip(sizes, aligned, strict=True)])
    for tensor in parameters:
        result = _scale(tracer, result, tensor)
    for out in outs:
        tracer.set_labels(out, result)


Operand = tuple[Tensor, torch.Size]
"""Labels broadcast to the output's shape, and the operand's own sizes aligned with it."""


def combine(tracer: Tracer, left: Operand, right: Operand) -> Tensor:
    """Labels of an element-wise operator's output.

    An operand of size 1 wherever the other's channels change (a spatial attention map, a scalar) is no channel of
    theirs: its own label stays dense and theirs go on.
    """
    shape = left[0].shape
    changing = [[d for d in range(len(shape)) if varies(side[0], d)] for side in (left, right)]
    for (one, one_dims), (other, _), other_changes in (
        ((left, changing[0]), (right, changing[1]), changing[1]),
        ((right, changing[1]), (left, changing[0]), changing[0]),
    ):
        if one_dims and not other_changes and all(other[1][d] == 1 for d in one_dims):
            tracer.ledger.freeze(core(other[0])[0], "one value acts on all channels")
            return one[0]
    a, b = core(left[0], right[0])
    tracer.ledger.tie(a, b)
    return torch.where(a == 0, b, a).expand(shape)


def _scale(tracer: Tracer, labels: Tensor, parameter: Tensor) -> Tensor:
    """Tie a parameter that acts element by element with the labels it meets; shape of `labels`."""
    info = tracer.info(parameter)
    assert info is not None
    matched = not info.arrays
    for array in info.arrays.values():
        nodes, met = core(array.expand(labels.shape), labels)
        shape = torch.broadcast_shapes(nodes.shape, met.shape)
        nodes, met = nodes.expand(shape), met.expand(shape)
        pairs = torch.unique(torch.stack([nodes.reshape(-1), met.reshape(-1)]), dim=1)
        if torch.unique(pairs[0]).numel() == pairs.size(1):
            matched = True
            tracer.ledger.tie(nodes, met)
            tracer.mark(nodes, "scale")
            labels = torch.where(met == 0, nodes, met).expand(labels.shape)
    if not matched and not _is_scalar_for(parameter, labels):
        reason = "element-wise with a parameter that does not follow the channels"
        tracer.ledger.freeze(core(labels)[0], reason)
        for array in info.arrays.values():
            tracer.ledger.freeze(core(array)[0], reason)
    return labels


def _is_scalar_for(parameter: Tensor, labels: Tensor) -> bool:
    offset = labels.dim() - parameter.dim()
    return all(parameter.size(d - offset) == 1 for d in range(offset, labels.dim()) if varies(labels, d))


def spatial(tracer: Tracer, call: Call) -> None:
    """Pooling and resampling keep each channel's label."""
    window = call.args[1] if len(call.args) > 1 else None
    trailing = len(window) if isinstance(window, list | tuple) else call.args[0].dim() - 2
    _keep_channels(tracer, call, trailing)


def padding(tracer: Tracer, call: Call) -> None:
    """Padding by reflection or repetition acts on the last dimensions: two widths for each."""
    _keep_channels(tracer, call, len(call.args[1]) // 2)


def regions(tracer: Tracer, call: Call) -> None:
    """Pooling of regions: (B, C, H, W) and boxes -> (boxes, C, h, w)."""
    _keep_channels(tracer, call, 2)


def _keep_channels(tracer: Tracer, call: Call, trailing: int) -> None:
    labels = tracer.labels(call.args[0])
    if labels is None:
        return
    dim = labels.dim() - min(trailing, labels.dim() - 1) - 1
    channels = tracer.per_channel(labels, dim)
    for out in tensors_in(call.out):
        if out.is_floating_point():
            tracer.set_labels(out, channels.view([-1] + [1] * (out.dim() - dim - 1)))


def reduce(tracer: Tracer, call: Call) -> None:
    """A reduction keeps the labels; whatever it runs over that differs is cut together."""
    info = tracer.info(call.args[0])
    if info is None:
        return
    num_dims = call.args[0].dim()
    given = call.argument("dim")
    dims = [given] if isinstance(given, int) else list(given or range(num_dims))
    dims = [dim % num_dims for dim in dims] if num_dims else []
    if info.parameter:
        reduce_parameter(tracer, call, dims, keepdim=bool(call.argument("keepdim")))
        return
    labels = tracer.labels(call.args[0])
    assert labels is not None
    for dim in sorted(dims, reverse=True):
        if varies(labels, dim):
            tracer.ledger.hint(core(labels)[0], f"{call.func} runs over the channels")
            labels = tracer.ledger.tie_along(labels, dim)
        labels = labels.narrow(dim, 0, 1) if call.argument("keepdim") else labels.select(dim, 0)
    for out in tensors_in(call.out):
        if out.is_floating_point():
            tracer.set_labels(out, labels)


def softmax(tracer: Tracer, call: Call) -> None:
    """What is normalised together is cut together."""
    labels = tracer.labels(call.args[0])
    if labels is None:
        return
    dim = call.args[1] % labels.dim()
    if varies(labels, dim):
        reason = "softmax runs over the channels"
        narrow = core(labels)[0]
        if bool((narrow == 0).any()):
            tracer.ledger.freeze(narrow, reason)
        tracer.ledger.tie_along(narrow, dim)
        tracer.ledger.hint(narrow, reason)
    tracer.set_labels(call.out, core(labels)[0])


def gated(tracer: Tracer, call: Call) -> None:
    """The first half times a gate of the second: channels of equal place go together."""
    labels = tracer.labels(call.args[0])
    if labels is None:
        return
    first, second = labels.chunk(2, dim=call.argument("dim", -1))
    tracer.ledger.tie(*core(compact(first), compact(second)))
    tracer.set_labels(call.out, first)


def _packets(names: str) -> list[Any]:
    return [getattr(aten, name) for name in names.split() if hasattr(aten, name)]


TABLE: dict[Any, Rule] = {
    **dict.fromkeys(
        _packets(
            "permute transpose t select squeeze unsqueeze expand cat stack "
            "unbind narrow flip roll index_select index repeat as_strided unfold pixel_shuffle "
            "pixel_unshuffle channel_shuffle native_channel_shuffle movedim tile"
        ),
        move,
    ),
    **dict.fromkeys(_packets("view _unsafe_view reshape"), view),
    **dict.fromkeys(_packets("split split_with_sizes chunk"), split),
    **dict.fromkeys(
        _packets(
            "detach alias contiguous clone _to_copy copy lift_fresh native_dropout as_strided_ zero_ fill_ zeros_like "
            "ones_like full_like empty_like rand_like randn_like bernoulli"
        ),
        same,
    ),
    **dict.fromkeys(_packets("new_zeros new_ones new_full new_empty"), constant),
    **dict.fromkeys(
        _packets("hardswish hardswish_ hardtanh hardtanh_ _prelu_kernel where log_sigmoid_forward"), pointwise
    ),
    **dict.fromkeys(
        _packets(
            "max_pool2d_with_indices max_pool3d_with_indices max_pool1d_with_indices avg_pool1d avg_pool2d avg_pool3d "
            "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d "
            "upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d upsample_linear1d "
            "upsample_trilinear3d _upsample_nearest_exact2d _upsample_bilinear2d_aa max_pool1d adaptive_max_pool1d"
        ),
        spatial,
    ),
    **dict.fromkeys(
        _packets(
            "reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d"
        ),
        padding,
    ),
    **dict.fromkeys(
        _packets("mean sum amax amin var std max min var_mean std_mean linalg_vector_norm logsumexp"), reduce
    ),
    **dict.fromkeys(_packets("_softmax _log_softmax _safe_softmax"), softmax),
    aten.slice: slice_of,
    aten.constant_pad_nd: pad,
    aten.glu: gated,
    **NORM_RULES,
    **WEIGHT_RULES,
    **PRODUCT_RULES,
}

BY_NAME: dict[str, Rule] = {"torchvision::roi_align": regions, "torchvision::roi_pool": regions}
