"""Operators that move, copy or create data: their labels move along."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pruners.borders import border, divided, heads_among, numbers_here, sliced
from pruners.sections import balance
from pruners.tracer import Call, Info, Tracer, compact, core, only_changing, tensors_in, varies

aten = torch.ops.aten


def move(tracer: Tracer, call: Call) -> None:
    """Operators that only move data are applied to the labels as they are."""
    moved = [tensor for tensor in tensors_in([call.args, call.kwargs]) if tensor.is_floating_point()]  # no indices
    infos = [info for tensor in moved if (info := tracer.info(tensor)) is not None]
    if len(infos) == 1 and infos[0].parameter:
        arrays = {axis: _apply(call, _always(array)) for axis, array in infos[0].arrays.items()}
        _store_parameter_views(tracer, call.out, arrays)
        return
    result = _apply(call, tracer.labels)
    for out, labels in zip(tensors_in(call.out), tensors_in(result), strict=True):
        tracer.set_labels(out, labels)


def slice_of(tracer: Tracer, call: Call) -> None:
    """A slice of channels may end where a number of its module's says."""
    move(tracer, call)
    info = tracer.info(call.args[0])
    if info is None or info.parameter:
        return
    labels, dim = info.arrays[0], call.argument("dim", 0) % call.args[0].dim()
    if only_changing(labels) == dim and call.out.size(dim) < labels.size(dim) and call.argument("step", 1) == 1:
        start = call.argument("start") or 0
        start = start if start >= 0 else start + labels.size(dim)
        sliced(tracer, labels, dim=dim, ends=(start, start + call.out.size(dim)))


def view(tracer: Tracer, call: Call) -> None:
    """A view that unfolds channels into rows: code that reorders them expects the same places in every row."""
    move(tracer, call)
    source = tracer.info(call.args[0])
    out = tracer.labels(call.out) if source is not None and not source.parameter else None
    if out is None:
        return
    for dims in unfolded(call.args[0].shape, call.out.shape):
        changing = [dim for dim in dims if varies(out, dim)]
        heads = heads_among(tracer, out, changing) if len(changing) > 1 else None
        if heads is not None:  # whole heads go: their channels get one label
            whole = tracer.per_channel(out, heads)
            border(tracer, whole)
            tracer.set_labels(call.out, whole.view([-1] + [1] * (out.dim() - heads - 1)))
            return
        for dim in changing[:-1]:
            tracer.ledger.hint(core(out)[0], "a view unfolds the channels into rows that must stay alike")
            tracer.ledger.tie_along(core(out)[0], dim)
    channels = only_changing(out)
    if channels is not None and out.size(channels) in numbers_here(tracer).values():
        border(tracer, tracer.per_channel(out, channels))


def unfolded(before: Sequence[int], after: Sequence[int]) -> Iterator[list[int]]:
    """Dimensions of the new shape that were one dimension of the old one, for every such dimension."""
    end = 0
    for size in before:
        dims: list[int] = []
        product = 1
        while product < size and end < len(after):
            product *= after[end]
            dims.append(end)
            end += 1
        if product != size:  # dimensions are merged too: no longer one to many
            return
        yield dims


def split(tracer: Tracer, call: Call) -> None:
    """Sections of equal length along the channels keep equally many of them."""
    move(tracer, call)
    sections = [labels for out in call.out if (labels := tracer.labels(out)) is not None]
    info = tracer.info(call.args[0])
    if info is None or info.parameter or len(sections) < 2:
        return
    dim = call.argument("dim", 0) % call.args[0].dim()
    equal = len({section.shape for section in sections}) == 1
    single = only_changing(info.arrays[0]) == dim
    if (equal or single) and any(varies(section, dim) for section in sections):
        channels = [tracer.per_channel(section, dim) for section in sections]
        if equal:
            balance(tracer.ledger, channels)
        if single:
            divided(tracer, channels)


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


def constant(tracer: Tracer, call: Call) -> None:
    """What comes out has no channels, whatever goes in."""
