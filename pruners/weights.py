"""Weights that the forward pass computes from parameters: scales folded together, standardised and normalised kernels.

A computed weight keeps one label array per axis, as a parameter does. Its axes stay separable as long as the operators
act element by element or reduce whole axes; an axis that is normalised over can't be cut.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pruners.tracer import Call, Info, Rule, Tracer, core, freeze_call, tensors_in, varies

aten = torch.ops.aten


def combine_parameters(tracer: Tracer, call: Call, parameters: Sequence[Tensor], outs: Sequence[Tensor]) -> None:
    """An element-wise operator between parameters: axes at the same place are one axis."""
    shape = outs[0].shape
    found: dict[int, Tensor] = {}
    for tensor in parameters:
        info = tracer.info(tensor)
        assert info is not None
        for array in info.arrays.values():
            wide = array.expand(shape)
            dims = [dim for dim in range(len(shape)) if varies(wide, dim)]
            if len(dims) != 1:
                freeze_call(tracer, call, f"weights computed in the forward pass by {call.func}")
                return
            known = found.setdefault(dims[0], wide)
            if known is not wide:
                one, two = core(known, wide)
                tracer.ledger.tie(one, two)
                for nodes in (one, two):
                    tracer.mark(nodes, "scale")
    for out in outs:
        tracer.set_info(out, Info(arrays=found, parameter=True))


def reduce_parameter(tracer: Tracer, call: Call, dims: Sequence[int], *, keepdim: bool) -> None:
    """A statistic of a parameter over `dims`: those axes stay, the others go on."""
    info = tracer.info(call.args[0])
    assert info is not None
    arrays = {}
    for axis, array in info.arrays.items():
        if any(varies(array, dim) for dim in dims):
            tracer.ledger.freeze(core(array)[0], "weights are normalised over this axis")
            continue
        for dim in sorted(dims, reverse=True):
            array = array.narrow(dim, 0, 1) if keepdim else array.select(dim, 0)
        arrays[axis] = array
    for out in tensors_in(call.out):
        if out.is_floating_point():
            tracer.set_info(out, Info(arrays=arrays, parameter=True))


def weight_norm(tracer: Tracer, call: Call) -> None:
    """`v / norm(v) * gain`: the axis of the gain may be cut, the ones that the norm runs over stay."""
    direction, gain, dim = call.args[0], call.args[1], int(call.argument("dim", 0))
    info = tracer.info(direction)
    if info is None or not info.parameter:
        freeze_call(tracer, call, "weights computed in the forward pass")
        return
    for array in info.arrays.values():
        if not varies(array, dim):
            tracer.ledger.freeze(core(array)[0], "weights are normalised over this axis")
    nodes, gains = tracer.line(direction, dim), tracer.line(gain, dim)
    if nodes is not None and gains is not None:
        tracer.ledger.tie(nodes, gains)
        tracer.mark(gains, "scale")
    tracer.set_info(next(tensors_in(call.out)), info)


WEIGHT_RULES: dict[Any, Rule] = {aten._weight_norm_interface: weight_norm}
