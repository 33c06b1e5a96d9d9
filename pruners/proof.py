"""Prove a group before it may be cut.

Half of its channels are cut; the slim network and the dense one with the same channels masked (every weight that reads
them set to zero) must give the same outputs. All groups are tried together; where that fails, halves of the list are,
down to the one that is wrong.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners.plan import Plan
from pruners.slim import removed_positions, slim
from pruners.trace import evaluating, outputs_in
from pruners.tracer import named_tensors
from spaces import ChannelGroup

TOLERANCE = 1e-3
"""Largest difference, as a fraction of how far the outputs move when the input does; a wrong cut is off by ~1."""


def half(groups: Sequence[ChannelGroup]) -> Plan:
    """A fixed random half of every group's channels, at least one kept and one cut."""
    kept = {}
    for group in groups:
        order = list(range(group.width))
        random.Random(group.name).shuffle(order)
        kept[group.name] = order[: max(1, group.width // 2)]
    return Plan.of(kept)


def masked_tensors(model: nn.Module, groups: Sequence[ChannelGroup], plan: Plan) -> dict[str, Tensor]:
    """Copies of the weights that read cut channels, with those columns at zero."""
    consumers = {(p.tensor, p.axis) for group in groups for p in group.with_role("consumer")}
    tensors = dict(named_tensors(model))
    masked: dict[str, Tensor] = {}
    for (name, axis), positions in removed_positions(groups, plan).items():
        if (name, axis) in consumers:
            weight = masked.setdefault(name, tensors[name].detach().clone())
            weight.index_fill_(axis, torch.tensor(positions, device=weight.device), 0.0)
    return masked


def run(model: nn.Module, inputs: tuple[Any, ...], tensors: Mapping[str, Tensor] | None = None) -> list[Tensor]:
    """Outputs in eval mode, with some tensors swapped for the call."""
    with evaluating(model), torch.no_grad():
        return list(outputs_in(torch.func.functional_call(model, dict(tensors or {}), inputs)))


def unproven(model: nn.Module, groups: Sequence[ChannelGroup], example_input: Any) -> dict[str, str]:
    """Names of groups whose cut changes more than masking does, with what went wrong; empty where all is well."""
    example = example_input if isinstance(example_input, tuple) else (example_input,)
    generator = torch.Generator().manual_seed(0)
    inputs = tuple(_noise(value, generator) for value in example)
    others = tuple(_noise(value, generator) for value in example)
    return _search(model, list(groups), inputs, others)


def _search(model: nn.Module, groups: list[ChannelGroup], inputs: Any, others: Any) -> dict[str, str]:
    if not groups:
        return {}
    problem = _disagreement(model, groups, inputs, others)
    if problem is None:
        return {}
    if len(groups) == 1:
        return {groups[0].name: problem}
    middle = len(groups) // 2
    found = {**_search(model, groups[:middle], inputs, others), **_search(model, groups[middle:], inputs, others)}
    if not found:  # each half holds alone, both together do not: keep the first half
        return {group.name: problem for group in groups[middle:]}
    return found


def _disagreement(model: nn.Module, groups: Sequence[ChannelGroup], inputs: Any, others: Any) -> str | None:
    plan = half(groups)
    masked = masked_tensors(model, groups, plan)
    try:
        small = slim(model, groups, plan)
        got = run(small, inputs)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        return f"its cut breaks the forward pass: {str(error).splitlines()[0]}"
    expected, moved = run(model, inputs, masked), run(model, others, masked)
    for one, two, other in zip(expected, got, moved, strict=True):
        if one.shape != two.shape:
            return "its cut changes the shape of the output"
        if one.is_floating_point():
            span = float((one - other).abs().max()) if one.shape == other.shape else float(one.abs().max())
            off = float((one - two).abs().max())
            if not off <= TOLERANCE * max(span, 1e-30):
                return f"its cut changes the output by {off:.2g} where masking gives none"
    return None


def _noise(value: Any, generator: torch.Generator) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return torch.randn(value.shape, generator=generator, dtype=value.dtype).to(value.device)
    if isinstance(value, list | tuple):
        return type(value)(_noise(item, generator) for item in value)
    return value
