"""Run a network once and learn which channels belong together and what they cost."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from pruners.borders import running_modules
from pruners.ledger import Axis, IntArray, Term
from pruners.operators import rule_for
from pruners.thop_rules import thop_terms
from pruners.tracer import Tracer, named_tensors, tensors_in
from spaces.group import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What one forward pass showed.

    Attributes:
        axes: every axis of every parameter and buffer that met a channel, with its nodes.
        roles: what each axis does.
        both: axes of tied weights that compute channels in one layer and read them in another.
        classes: class of every node, shape (num_nodes,); equal classes are cut together.
        frozen: node -> why its class stays dense.
        hints: node -> what tied its class together.
        terms: the cost.
        stages: parameter -> spatial size of what it produces.
        shapes: shapes of all parameters and buffers.
        parameters: names of the parameters among them.
        transient: names of buffers outside the state dict.
    """

    axes: Mapping[tuple[str, int], Axis]
    roles: Mapping[tuple[str, int], Role]
    both: frozenset[tuple[str, int]]
    classes: IntArray
    frozen: Mapping[int, str]
    hints: Mapping[int, str]
    terms: tuple[Term, ...]
    stages: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    parameters: frozenset[str]
    transient: frozenset[str]


def trace(model: nn.Module, example_input: Any) -> Trace:
    """Trace `model` on `example_input` (a tensor of shape (1, C, H, W), or a tuple of arguments).

    The network runs in eval mode without gradients; its flags and hooks are restored whatever happens.
    """
    arguments = example_input if isinstance(example_input, tuple) else (example_input,)
    tracer = Tracer(model, rule_for, always=flop_registry)
    node = tracer.ledger.opaque("network input")
    for tensor in tensors_in(arguments):
        tracer.set_labels(tensor, node.view([1] * tensor.dim()))
    with evaluating(model), torch.no_grad(), attention_as_operators():  # noqa: SIM117, too long for one
        with thop_terms(tracer, model), running_modules(tracer, model), tracer:
            out = model(*arguments)
    for tensor in outputs_in(out):
        labels = tracer.labels(tensor)
        if labels is not None:
            tracer.ledger.freeze(labels, "network output")
    return Trace(
        axes=tracer.ledger.axes,
        roles=tracer.ledger.roles,
        both=frozenset(tracer.ledger.both),
        classes=tracer.ledger.classes(),
        frozen=tracer.ledger.frozen,
        hints=tracer.ledger.hints,
        terms=tuple(tracer.ledger.terms),
        stages=tracer.ledger.stages,
        shapes={name: tuple(tensor.shape) for name, tensor in named_tensors(model)},
        parameters=frozenset(name for name, _ in model.named_parameters()),
        transient=transient_buffers(model),
    )


def outputs_in(value: Any) -> Iterator[Tensor]:
    """Every tensor of a network's output: tensors, sequences, mappings and plain records of them."""
    if isinstance(value, Tensor | list | tuple | Mapping):
        items = value.values() if isinstance(value, Mapping) else value
        if isinstance(value, Tensor):
            yield value
        else:
            for item in items:
                yield from outputs_in(item)
    elif hasattr(value, "__dict__"):
        yield from outputs_in(vars(value))


def transient_buffers(model: nn.Module) -> frozenset[str]:
    """Full names of non-persistent buffers."""
    return frozenset(
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; every module's own flag afterwards."""
    flags = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, flag in flags.items():
            module.training = flag


@contextmanager
def attention_as_operators() -> Iterator[None]:
    """Without the fused path of nn.MultiheadAttention, which hides its products from counters and traces."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
