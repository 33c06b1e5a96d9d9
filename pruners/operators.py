"""What each operator does to channel labels: a table from operator to rule.

Rules for convolutions and matrix products are in `pruners.products`, the others here. An operator is looked up by its
overload packet; anything tagged point-wise by PyTorch shares one rule, and an unknown operator leaves what it touches
dense.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pruners.products import PRODUCT_RULES
from pruners.tracer import Call, Info, Rule, Tracer, compact, core, freeze_call, tensors_in, varies

aten = torch.ops.aten


def rule_for(func: Any) -> Rule | None:
    """The rule of an operator overload, or None."""
    packet = func._overloadpacket
    if packet in TABLE:
        return TABLE[packet]
    return pointwise if torch.Tag.pointwise in func.tags else None


def move(tracer: Tracer, call: Call) -> None:
    """Operators that only move data are applied to the labels as they are."""
    infos = [info for tensor in tensors_in([call.args, call.kwargs]) if (info := tracer.info(tensor)) is not None]
    if len(infos) == 1 and infos[0].parameter:
        arrays = {axis: _apply(call, _always(array)) for axis, array in infos[0].arrays.items()}
        _store_parameter_views(tracer, call.out, arrays)
        return
    result = _apply(call, tracer.labels)
    for out, labels in zip(tensors_in(call.out), tensors_in(result), strict=True):
        tracer.set_labels(out, labels)


def _always(array: Tensor) -> Callable[[Tensor], Tensor | None]:
    return lambda _: array


def _store_parameter_views(tracer: Tracer, out: Any, arrays: dict[int, Any]) -> None:
    for index, tensor in enumerate(tensors_in(out)):
        moved = {axis: compact(list(tensors_in(result))[index]) for axis, result in arrays.items()}
        kept = {a: array for a, array in moved.items() if any(varies(array, dim) for dim in range(array.dim()))}
        tracer.set_info(tensor, Info(arrays=kept, parameter=True))


def _apply(call: Call, labels_of: Callable[[Tensor], Tensor | None]) -> Any:
    """The call with float tensors replaced by their labels (constants by zeros); indices stay."""

    def replace(value: Any) -> Any:
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                return value
            labels = labels_of(value)
            return torch.zeros((), dtype=torch.int64).expand(value.shape) if labels is None else labels
        if isinstance(value, list | tuple):
            return type(value)(replace(item) for item in value)
        return value

    args = [replace(value) for value in call.args]
    kwargs = {key: value for key, value in call.kwargs.items() if key not in {"dtype", "memory_format", "layout"}}
    try:
        return call.func(*args, **kwargs)
    except RuntimeError:  # a view that stride 0 does not allow
        args = [value.contiguous() if isinstance(value, Tensor) else value for value in args]
        return call.func(*args, **kwargs)


def same(tracer: Tracer, call: Call) -> None:
    """The output has its first argument's labels: copies, casts, dropout."""
    source = tracer.info(call.args[0])
    if source is None:
        return
    for out in tensors_in(call.out):
        if out.shape == call.args[0].shape:
            tracer.set_info(out, source)


def pad(tracer: Tracer, call: Call) -> None:
    """Padding along dimensions without channels keeps the labels; along channels it adds constants."""
    labels = tracer.labels(call.args[0])
    if labels is None:
        return
    widths = list(call.args[1])
    dims = {labels.dim() - 1 - index // 2 for index, width in enumerate(widths) if width}
    if any(varies(labels, dim) for dim in dims):
        tracer.set_labels(call.out, aten.constant_pad_nd(labels.contiguous(), widths, 0))
    else:
        tracer.set_labels(call.out, core(labels)[0])


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
        _pointwise_parameters(tracer, call, parameters, outs)
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


def _pointwise_parameters(tracer: Tracer, call: Call, parameters: list[Tensor], outs: list[Tensor]) -> None:
    if len(parameters) == 1 and outs[0].shape == parameters[0].shape:
        info = tracer.info(parameters[0])
        assert info is not None
        tracer.set_info(outs[0], info)
    else:
        freeze_call(tracer, call, f"weights computed in the forward pass by {call.func}")


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


def batch_norm(tracer: Tracer, call: Call) -> None:
    """Weight, bias and statistics follow the channel, dimension 1."""
    labels = tracer.labels(call.args[0])
    out = next(tensors_in(call.out))
    if labels is None:
        labels = torch.zeros((), dtype=torch.int64).expand(out.shape)
    channels = tracer.per_channel(labels, 1)
    for parameter in call.args[1:5]:
        nodes = tracer.line(parameter, 0) if isinstance(parameter, Tensor) else None
        if nodes is not None:
            tracer.ledger.tie(nodes, channels)
            tracer.mark(nodes, "scale")
            channels = torch.where(channels == 0, nodes, channels)
    tracer.set_labels(out, channels.view([-1] + [1] * (out.dim() - 2)))


def spatial(tracer: Tracer, call: Call) -> None:
    """Pooling and resampling keep each channel's label."""
    labels = tracer.labels(call.args[0])
    if labels is None:
        return
    window = call.args[1] if len(call.args) > 1 else None
    trailing = len(window) if isinstance(window, list | tuple) else labels.dim() - 2
    dim = labels.dim() - min(trailing, labels.dim() - 1) - 1
    channels = tracer.per_channel(labels, dim)
    for out in tensors_in(call.out):
        if out.is_floating_point():
            tracer.set_labels(out, channels.view([-1] + [1] * (out.dim() - dim - 1)))


def reduce(tracer: Tracer, call: Call) -> None:
    """A reduction over dimensions without channels keeps the labels; one over channels needs all of them."""
    labels = tracer.labels(call.args[0])
    if labels is None:
        return
    given = call.argument("dim")
    dims = [given] if isinstance(given, int) else list(given or range(labels.dim()))
    dims = [dim % labels.dim() for dim in dims]
    if any(varies(labels, dim) for dim in dims):
        freeze_call(tracer, call, f"{call.func} runs over the channels")
        return
    for dim in sorted(dims, reverse=True):
        labels = labels.narrow(dim, 0, 1) if call.argument("keepdim") else labels.select(dim, 0)
    for out in tensors_in(call.out):
        if out.is_floating_point():
            tracer.set_labels(out, labels)


def softmax(tracer: Tracer, call: Call) -> None:
    """Normalising along a dimension without channels keeps the labels."""
    labels = tracer.labels(call.args[0])
    if labels is not None:
        if varies(labels, call.args[1] % labels.dim()):
            tracer.ledger.freeze(core(labels)[0], "softmax runs over the channels")
        tracer.set_labels(call.out, core(labels)[0])


def statistics_over_channels(tracer: Tracer, call: Call) -> None:
    """Layer and group norms: their statistics change with any channel, so what they normalise together stays."""
    freeze_call(tracer, call, f"{call.func._overloadpacket.__name__} takes statistics over the channels")


def _packets(names: str) -> list[Any]:
    return [getattr(aten, name) for name in names.split() if hasattr(aten, name)]


TABLE: dict[Any, Rule] = {
    **dict.fromkeys(
        _packets(
            "view _unsafe_view reshape permute transpose t slice select squeeze unsqueeze expand cat stack split "
            "split_with_sizes chunk unbind narrow flip roll index_select index repeat as_strided unfold pixel_shuffle "
            "pixel_unshuffle channel_shuffle native_channel_shuffle movedim tile"
        ),
        move,
    ),
    **dict.fromkeys(
        _packets("detach alias contiguous clone _to_copy copy lift_fresh native_dropout as_strided_"), same
    ),
    **dict.fromkeys(
        _packets("hardswish hardswish_ hardtanh hardtanh_ _prelu_kernel where log_sigmoid_forward"), pointwise
    ),
    **dict.fromkeys(
        _packets(
            "max_pool2d_with_indices max_pool3d_with_indices max_pool1d_with_indices avg_pool1d avg_pool2d avg_pool3d "
            "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d "
            "upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d upsample_linear1d "
            "upsample_trilinear3d _upsample_nearest_exact2d _upsample_bilinear2d_aa reflection_pad1d reflection_pad2d "
            "replication_pad1d replication_pad2d"
        ),
        spatial,
    ),
    **dict.fromkeys(
        _packets("mean sum amax amin var std max min var_mean std_mean linalg_vector_norm logsumexp"), reduce
    ),
    **dict.fromkeys(_packets("native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm"), batch_norm),
    **dict.fromkeys(_packets("native_layer_norm native_group_norm"), statistics_over_channels),
    **dict.fromkeys(_packets("_softmax _log_softmax _safe_softmax"), softmax),
    aten.constant_pad_nd: pad,
    **PRODUCT_RULES,
}
