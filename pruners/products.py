"""Rules for operators that multiply and add: convolutions, linear layers, attention. They also record the compute.

MACs are PyTorch's own operator formulas halved (`torch.utils.flop_counter`), so they agree with FlopCounterMode by
construction.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from pruners.borders import border, counts_heads
from pruners.tracer import Call, Info, Rule, Tracer, core, freeze_call, only_changing, tensors_in, varies

aten = torch.ops.aten


def macs_of(call: Call) -> int:
    """Multiply-adds of one call; 0 where PyTorch has no formula."""
    formula = flop_registry.get(call.func._overloadpacket)
    return int(formula(*call.args, **call.kwargs, out_val=call.out)) // 2 if formula else 0


def fixed(tracer: Tracer, call: Call, layer: str, kind: str) -> None:
    """The cost of a call none of whose channels can be cut."""
    tracer.ledger.term("macs", layer, kind, scale=macs_of(call), factors=())
    written = next(tensors_in(call.out)).numel()
    tracer.ledger.term("activations", layer, kind, scale=written, factors=())


def _fixed(size: int) -> Tensor:
    """Labels of an axis none of whose positions can be cut."""
    return torch.zeros(size, dtype=torch.int64)


def convolution(tracer: Tracer, call: Call) -> None:
    """New labels for the outputs, consumers for the inputs; depthwise passes labels on, grouped ties every group's."""
    features, weight, bias = call.args[:3]
    transposed, groups = bool(call.args[6]), int(call.args[8])
    info = tracer.info(weight)
    labels = tracer.labels(features)
    if info is None or not info.parameter or not info.arrays:
        freeze_call(tracer, call, "convolution with weights computed in the forward pass")
        fixed(tracer, call, "convolution", "conv")
        return
    if groups > 1 and groups == features.size(1) and labels is not None:  # functional code may name their number
        border(tracer, tracer.per_channel(labels, 1))
    name = _owner(tracer, weight)
    if labels is None:
        labels = _fixed(1).view([1] * features.dim()).expand(features.shape)
    channel_dim = features.dim() - (weight.dim() - 2) - 1
    inputs = tracer.per_channel(labels, channel_dim)
    out_axis, in_axis = (1, 0) if transposed else (0, 1)
    outs, ins = tracer.line(weight, out_axis), tracer.line(weight, in_axis)
    outs = _fixed(weight.size(out_axis)) if outs is None else outs
    ins = _fixed(weight.size(in_axis)) if ins is None else ins
    _mark(tracer, outs, "producer")
    if transposed and groups > 1:
        made = _tie_transposed_groups(tracer, inputs, outs=outs, ins=ins, groups=groups)
    else:
        _tie_groups(tracer, inputs, outs=outs, ins=ins, groups=groups)
        _mark(tracer, ins, "consumer")
        made = outs
    _tie_bias(tracer, bias, made)
    _freeze_unread(tracer, inputs, ins, groups)
    tracer.ledger.stages.setdefault(name, "x".join(str(size) for size in call.out.shape[channel_dim + 1 :]))
    scale = macs_of(call) // (weight.size(0) * weight.size(1))
    tracer.ledger.term("macs", name, "conv", scale=scale, factors=[outs, ins])
    tracer.ledger.term("activations", name, "conv", scale=call.out.numel() // made.numel(), factors=[made])
    tracer.set_labels(call.out, made.view([-1] + [1] * (weight.dim() - 2)))


def _tie_transposed_groups(tracer: Tracer, inputs: Tensor, *, outs: Tensor, ins: Tensor, groups: int) -> Tensor:
    """Weight (inputs, outputs per group, ...): a row per input; answers the labels of all outputs.

    Depthwise, an input takes its outputs along, so its row produces them; grouped, each group loses the same ones.
    """
    tracer.ledger.tie(ins, inputs)
    if ins.numel() == groups:
        _mark(tracer, ins, "producer")
        tracer.ledger.freeze(outs, "outputs of one input of a transposed depthwise convolution")
        return ins.repeat_interleave(outs.numel())
    _mark(tracer, ins, "consumer")
    tracer.ledger.tie_along(ins.view(groups, -1), 0)
    return outs.repeat(groups)


def _tie_groups(tracer: Tracer, inputs: Tensor, *, outs: Tensor, ins: Tensor, groups: int) -> None:
    if groups == 1:
        tracer.ledger.tie(ins, inputs)
    elif ins.numel() == 1:  # depthwise: output o belongs to input o // multiplier
        tracer.ledger.tie(outs, inputs.repeat_interleave(outs.numel() // groups))
    else:
        by_group = inputs.view(groups, -1)
        tracer.ledger.tie(by_group, ins.expand_as(by_group))
        outs_by_group = outs.view(groups, -1)
        tracer.ledger.tie(outs_by_group, outs_by_group[:1].expand_as(outs_by_group))


def _mark(tracer: Tracer, nodes: Tensor, role: str) -> None:
    if bool((nodes != 0).any()):
        tracer.mark(nodes[nodes != 0], role)


def _freeze_unread(tracer: Tracer, inputs: Tensor, ins: Tensor, groups: int) -> None:
    """A column that reads a constant has no channel to go with, so it stays."""
    if groups == 1:
        tracer.ledger.freeze(ins[inputs == 0], "reads a constant")


def _tie_bias(tracer: Tracer, bias: Any, outs: Tensor) -> None:
    nodes = tracer.line(bias, 0) if isinstance(bias, Tensor) else None
    if nodes is not None:
        tracer.ledger.tie(nodes, outs)
        tracer.mark(nodes, "scale")


def linear(tracer: Tracer, call: Call) -> None:
    """`mm` and `addmm`: a linear layer where the second factor is a weight."""
    bias, features, weight = call.args[:3] if call.func._overloadpacket is aten.addmm else (None, *call.args[:2])
    info = tracer.info(weight)
    labels = tracer.labels(features)
    if info is None or not info.parameter or not info.arrays or labels is None:
        _between_activations(tracer, call)
        return
    layer = _owner(tracer, weight)
    over_rows, over_columns = varies(labels, 0), varies(labels, 1)
    ins, outs = tracer.line(weight, 0), tracer.line(weight, 1)
    ins = _fixed(weight.size(0)) if ins is None else ins
    outs = _fixed(weight.size(1)) if outs is None else outs
    if over_rows:
        _token_mixing(tracer, call, labels, layer)
        return
    inputs = tracer.per_channel(labels, 1) if over_columns else labels[0].contiguous()
    tracer.ledger.tie(ins, inputs)
    _freeze_unread(tracer, inputs, ins, 1)
    _mark(tracer, outs, "producer")
    _mark(tracer, ins, "consumer")
    _tie_bias(tracer, bias, outs)
    tracer.ledger.stages.setdefault(layer, "vector" if features.size(0) == 1 else f"{features.size(0)} tokens")
    tracer.ledger.term("macs", layer, "linear", scale=features.size(0), factors=[outs, ins])
    tracer.ledger.term("activations", layer, "linear", scale=features.size(0), factors=[outs])
    tracer.set_labels(call.out, outs.view(1, -1))


def _owner(tracer: Tracer, weight: Tensor) -> str:
    """The parameter that a view shows."""
    info = tracer.info(weight)
    assert info is not None
    return tracer.ledger.owner(core(next(iter(info.arrays.values())))[0]).tensor


def _token_mixing(tracer: Tracer, call: Call, labels: Tensor, layer: str) -> None:
    """A linear layer over positions: its weight stays, and every row keeps its channel's label."""
    for tensor in tensors_in([call.args, call.kwargs]):
        info = tracer.info(tensor)
        if info is not None and info.parameter:
            for array in info.arrays.values():
                tracer.ledger.freeze(core(array)[0], "a linear layer over positions")
    if varies(labels, 1):
        freeze_call(tracer, call, "a linear layer over channels and positions at once")
        fixed(tracer, call, layer, "linear")
        return
    rows = labels[:, 0]
    tracer.ledger.term("macs", layer, "linear", scale=macs_of(call) // rows.numel(), factors=[rows])
    tracer.ledger.term("activations", layer, "linear", scale=call.out.size(1), factors=[rows])
    tracer.set_labels(call.out, rows[:, None])


def _between_activations(tracer: Tracer, call: Call) -> None:
    """Attention and other products of activations: heads go whole, or their channels stay dense."""
    if _attention(tracer, call):
        return
    kind = f" in {type(tracer.running[-1][1]).__name__}" if tracer.running else ""
    freeze_call(tracer, call, f"a product of activations ({call.func._overloadpacket.__name__}){kind}")
    fixed(tracer, call, "attention", "attention")


def _attention(tracer: Tracer, call: Call) -> bool:
    """Tie queries, keys, values and the bias of each head, where the running module counts heads; whether it does.

    Heads are dimension 1 of four, or inside the batch of `bmm`.
    """
    dim = 0 if call.func._overloadpacket is aten.bmm else 1
    tensors = [tensor for tensor in tensors_in([call.args, call.kwargs]) if tracer.info(tensor) is not None]
    out = next(tensors_in(call.out))
    if out.dim() != dim + 3 or not counts_heads(tracer, out.size(dim)):
        return False
    lines = [_head_labels(tracer, tensor, dim - out.dim()) for tensor in tensors]
    heads = [line for line in lines if line is not None]
    if not heads or len(heads) != len(lines) or {len(line) for line in heads} != {out.size(dim)}:
        return False
    for line in heads[1:]:
        tracer.ledger.tie(line, heads[0])
    scale, written = macs_of(call) // out.size(dim), out.numel() // out.size(dim)
    tracer.ledger.term("macs", "attention", "attention", scale=scale, factors=[heads[0]])
    tracer.ledger.term("activations", "attention", "attention", scale=written, factors=[heads[0]])
    tracer.set_labels(out, heads[0].view([-1] + [1] * (out.dim() - dim - 1)))
    return True


def _head_labels(tracer: Tracer, tensor: Tensor, dim: int) -> Tensor | None:
    """One label per head, shape (heads,); None where labels change along another dimension or not along this."""
    info = tracer.info(tensor)
    assert info is not None
    if info.parameter:
        line = tracer.line(tensor, dim)
        if line is not None:
            tracer.mark(line, "scale")
        return line
    labels = info.arrays[0]
    if only_changing(labels) != dim % labels.dim():
        return None
    return tracer.per_channel(labels, dim % labels.dim())


def batched(tracer: Tracer, call: Call) -> None:
    """`bmm`: a linear layer where the second factor is one weight (einsum), else a product of activations."""
    features, weight = call.args[:2]
    info = tracer.info(weight)
    if info is None or not info.parameter or weight.size(0) != 1 or tracer.labels(features) is None:
        _between_activations(tracer, call)
        return
    matrix = weight.detach()[0]
    arrays = {axis: array[0] for axis, array in info.arrays.items() if not varies(array, 0)}
    tracer.set_info(matrix, Info(arrays=arrays, parameter=True))
    rows, out = features.detach()[0], call.out.detach()[0]
    labels = tracer.labels(features)
    assert labels is not None
    tracer.set_labels(rows, labels[0])
    linear(tracer, Call(func=aten.mm.default, args=(rows, matrix), kwargs={}, out=out))
    made = tracer.labels(out)
    assert made is not None
    tracer.set_labels(call.out, made[None])


PRODUCT_RULES: dict[Any, Rule] = {
    aten.convolution: convolution,
    aten.mm: linear,
    aten.addmm: linear,
    aten.bmm: batched,
    **{
        getattr(aten, name): _between_activations
        for name in (
            "baddbmm",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
        )
    },
}


def numel(labels: Tensor) -> tuple[Tensor, float]:
    """Distinct-by-position labels and how many elements stand behind each: `scale` and factor of a count."""
    if not labels.numel():
        return torch.zeros(1, dtype=torch.int64), 0.0
    small = core(labels)[0]
    return small, math.prod(labels.shape) / small.numel()
