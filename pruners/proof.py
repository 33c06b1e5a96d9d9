"""Prove a group before it may be cut.

A different share of every group is cut; the slim network and the dense one with the same channels masked (every weight
that reads them set to zero) must give the same outputs. All groups are tried together; where that fails, halves of the
list are, down to the one that is wrong.

The proof runs in float64, where rounding can't be mistaken for a wrong cut nor hide one, on a stand-in whose scales and
shifts are shaken: a freshly initialised network has scales of zero or one everywhere, behind which a channel in the
wrong place would not show.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruners.plan import Plan
from pruners.slim import removed_positions, slim
from pruners.swap import swapped
from pruners.trace import evaluating, outputs_in
from pruners.tracer import named_tensors
from spaces import ChannelGroup

TOLERANCE = 1e-6
"""Largest difference, as a fraction of what masking changes at all, in float64; a wrong cut is off by ~1."""
ROUNDING = 1e-12
"""Largest difference, as a fraction of the output, that counts as none."""
LARGEST = 200_000_000
"""A network with more parameters is proven in its own precision: its float64 copies would not fit every machine."""
SINGLE = 1e3
"""How much more is allowed to a network that runs in float32 only."""
NEGLIGIBLE = 1e-3
"""A scale below this hides the layer behind it."""


def half(groups: Sequence[ChannelGroup]) -> Plan:
    """A fixed random half of every group's channels, at least one kept and one cut."""
    return _some(groups, lambda generator, width: width // 2)


def uneven(groups: Sequence[ChannelGroup]) -> Plan:
    """A fixed random share of every group's channels, between a quarter and three quarters, another for each group.

    Equal shares would hide code that reads a border from the number of channels, such as `x[:, : x.size(1) // 2]`.
    """
    return _some(groups, lambda generator, width: round(width * generator.uniform(0.25, 0.75)))


def _some(groups: Sequence[ChannelGroup], count: Any) -> Plan:
    kept = {}
    for group in groups:
        generator = random.Random(group.name)
        order = list(range(group.width))
        generator.shuffle(order)
        kept[group.name] = order[: min(max(1, count(generator, group.width)), max(1, group.width - 1))]
    return Plan.of(kept)


def masked_tensors(model: nn.Module, groups: Sequence[ChannelGroup], plan: Plan) -> dict[str, Tensor]:
    """Copies of the weights that read cut channels, with those columns at zero."""
    consumers = {(p.tensor, p.axis) for group in groups for p in group.with_role("consumer")}
    tensors = dict(named_tensors(model))
    masked: dict[str, Tensor] = {}
    for (name, axis), positions in removed_positions(groups, plan).items():
        if (name, axis) in consumers:
            weight = masked.setdefault(name, tensors[name].detach().clone())
            weight.index_fill_(axis, torch.as_tensor(positions, device=weight.device), 0.0)
    return masked


def run(model: nn.Module, inputs: tuple[Any, ...], tensors: Mapping[str, Tensor] | None = None) -> list[Tensor]:
    """Outputs in eval mode, with some tensors swapped for the call."""
    with evaluating(model), torch.no_grad(), swapped(model, tensors or {}):
        return list(outputs_in(model(*inputs)))


def unproven(model: nn.Module, groups: Sequence[ChannelGroup], example_input: Any) -> dict[str, str]:
    """Names of groups whose cut changes more than masking does, with what went wrong; empty where all is well."""
    if not groups:
        return {}
    example = example_input if isinstance(example_input, tuple) else (example_input,)
    small_enough = sum(parameter.numel() for parameter in model.parameters()) <= LARGEST
    trial = _trial(model, example, exact=small_enough)
    return _search(trial, list(groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A network to try cuts on, with an input and what it answers uncut."""

    model: nn.Module
    inputs: tuple[Any, ...]
    dense: tuple[Tensor, ...]


def _trial(model: nn.Module, example: tuple[Any, ...], *, exact: bool) -> Trial:
    """A stand-in and what it answers; in its own precision where it is not to be exact or names a precision itself."""
    generator = torch.Generator().manual_seed(0)
    stand_in = slim(model, [], Plan(kept=()))
    inputs = tuple(_noise(value, generator) for value in example)
    stand_in, inputs = (stand_in.double(), inputs) if exact else (stand_in, _like(inputs, example))
    shake(stand_in, generator)
    try:
        return Trial(model=stand_in, inputs=inputs, dense=tuple(run(stand_in, inputs)))
    except RuntimeError:
        if exact:
            return _trial(model, example, exact=False)
        raise


def shake(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """Change every vector and scalar of `model`, in place, by up to half of itself; answers the model.

    Those that are all but zero become of the order of 1 if they scale, of 0.1 if they shift.
    """
    for name, tensor in named_tensors(model):
        if not tensor.is_floating_point() or tensor.numel() not in {1, max(tensor.shape, default=1)}:
            continue
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
        shifts = any(word in name.rpartition(".")[2] for word in ("bias", "mean", "shift", "beta"))
        small = float(tensor.detach().abs().amax()) < NEGLIGIBLE if tensor.numel() else False
        with torch.no_grad():
            if not small:
                tensor.mul_(noise + 0.5)
            elif name.endswith(("var", "zeros", "mask")):
                continue
            else:
                tensor.copy_((noise - 0.5) * 0.2 if shifts else noise + 0.5)
    return model


def _search(trial: Trial, groups: list[ChannelGroup]) -> dict[str, str]:
    if not groups:
        return {}
    problem = _disagreement(trial, groups)
    if problem is None:
        return {}
    if len(groups) == 1:
        return {groups[0].name: problem}
    middle = len(groups) // 2
    found = {**_search(trial, groups[:middle]), **_search(trial, groups[middle:])}
    rest = [group for group in groups if group.name not in found]
    if not found:  # each half holds alone, both together do not: keep the first half
        return {group.name: problem for group in groups[middle:]}
    return {**found, **_search(trial, rest)} if len(rest) > 1 else found


def _disagreement(trial: Trial, groups: Sequence[ChannelGroup]) -> str | None:
    """What is wrong with cutting these groups together; None where nothing is."""
    plan = uneven(groups)
    try:
        got = run(slim(trial.model, groups, plan), trial.inputs)
        expected = run(trial.model, trial.inputs, masked_tensors(trial.model, groups, plan))
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError) as error:
        return f"its cut breaks the forward pass: {(str(error) or type(error).__name__).splitlines()[0]}"
    for dense, one, two in zip(trial.dense, expected, got, strict=True):
        if one.shape != two.shape:
            return "its cut changes the shape of the output"
        if one.is_floating_point() and one.numel() and dense.shape == one.shape:
            exact = one.dtype == torch.float64
            effect, size = float((one - dense).abs().max()), float(one.abs().max())
            allowed = (TOLERANCE * effect + ROUNDING * size) * (1 if exact else SINGLE)
            off = float((one - two).abs().max())
            if not off <= allowed:
                return f"its cut changes the output by {off / max(size, 1e-300):.1g} of itself where masking gives none"
    return None


def _noise(value: Any, generator: torch.Generator) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.device)
    if isinstance(value, list | tuple):
        return type(value)(_noise(item, generator) for item in value)
    return value


def _like(value: Any, example: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(example.dtype)
    if isinstance(value, list | tuple):
        return type(value)(_like(one, two) for one, two in zip(value, example, strict=True))
    return value
