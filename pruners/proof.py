"""Prove a group before it may be cut.

A different share of every group is cut; the slim network and the dense one with the same channels masked (every weight
that reads them set to zero) must give the same outputs. All groups are tried together; where that fails, halves of the
list are, down to the one that is wrong.

The proof runs in float64, where rounding can't be mistaken for a wrong cut nor hide one, on a stand-in whose scales and
shifts are shaken: a freshly initialised network has scales of zero or one everywhere, behind which a channel in the
wrong place would not show. At last the slim network runs in train mode, in which other code may run: an auxiliary head.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pruners.borders import HEADS
from pruners.narrowing import BREAKS, ERRORS, broken, narrowed
from pruners.plan import Plan
from pruners.shares import uneven
from pruners.slim import removed_positions, slim
from pruners.swap import swapped
from pruners.trace import evaluating, outputs_in
from pruners.tracer import named_tensors
from pruners.training_proof import breaking_in_training
from pruners.uncut import listening, uncut_layers
from spaces import ChannelGroup

TOLERANCE = 1e-6
"""Largest difference, as a fraction of what masking changes at all, in float64; a wrong cut is off by ~1."""
ROUNDING = 1e-12
"""Largest difference, as a fraction of the output, that counts as none."""
LARGEST = 200_000_000
"""A network with more parameters is proven in its own precision: its float64 copies would not fit every machine."""
SINGLE = 1e3
"""How much more is allowed to a network that runs in float32 only."""
SILENT = "the network's answer to the example is empty: nothing to compare"
NEGLIGIBLE = 1e-3
"""A scale below this hides the layer behind it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a proof found.

    Attributes:
        groups: those that hold, in their order; without the numbers that they had no right to change.
        reasons: name of a group that doesn't hold -> what went wrong.
    """

    groups: tuple[ChannelGroup, ...]
    reasons: Mapping[str, str]


def prove(model: nn.Module, groups: Sequence[ChannelGroup], example_input: Any) -> Verdict:
    """Which groups may be cut: a cut of them changes no more than masking does."""
    if not groups:
        return Verdict(groups=(), reasons={})
    example = example_input if isinstance(example_input, tuple) else (example_input,)
    small_enough = sum(parameter.numel() for parameter in model.parameters()) <= LARGEST
    verdict = _search(_trial(model, example, exact=small_enough), groups)
    breaking = breaking_in_training(model, verdict.groups, example)
    verdict = Verdict(
        groups=tuple(group for group in verdict.groups if group.name not in breaking),
        reasons={**verdict.reasons, **breaking},
    )
    heads = {group.name for group in groups if _has_heads(group)}
    reasons = {name: f"whole attention heads: {why}" if name in heads else why for name, why in verdict.reasons.items()}
    return replace(verdict, reasons=reasons)


def _has_heads(group: ChannelGroup) -> bool:
    return any(piece.tensor.rpartition(".")[2] in HEADS for piece in group.records)


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


def _search(trial: Trial, groups: Sequence[ChannelGroup]) -> Verdict:
    """Find one wrong group, try those of the same kind each alone, and go on with the rest until that holds.

    Attention heads whose cut raises an error are not tried again in the next block: the same code reckons the same.
    """
    found: dict[str, str] = {}
    rest = {group.name: group for group in groups}
    while rest and (problem := _disagreement(trial, list(rest.values()))) is not None:
        wrong, problem = narrowed(lambda part: _disagreement(trial, part), list(rest.values()), problem)
        found |= {group.name: problem for group in wrong}
        kinds, plain = {_kind(group.name) for group in wrong}, _without_numbers(trial, wrong)
        if plain is not None:
            del found[plain.name]
            rest[plain.name] = plain
        rest = {name: group for name, group in rest.items() if name not in found}
        for group in [group for name, group in rest.items() if _kind(name) in kinds and group is not plain]:
            hopeless = plain is None and BREAKS in problem and _has_heads(group) and _has_heads(wrong[0])
            again = problem if hopeless else _disagreement(trial, [group])
            if again is None:
                continue
            bare = _without_numbers(trial, [group]) if plain is not None else None
            if bare is None:
                found[group.name] = again
                del rest[group.name]
            else:
                rest[group.name] = bare
    return Verdict(groups=tuple(rest.values()), reasons=found)


def _without_numbers(trial: Trial, groups: Sequence[ChannelGroup]) -> ChannelGroup | None:
    """A single group without its numbers, if that holds: they were equal to its width by chance."""
    bare = [replace(group, records=()) for group in groups if group.records]
    return bare[0] if len(groups) == len(bare) == 1 and _disagreement(trial, bare) is None else None


def _kind(name: str) -> str:
    """Equal for the same layer of every block."""
    return re.sub(r"\d+", "", name)


def _disagreement(trial: Trial, groups: Sequence[ChannelGroup]) -> str | None:
    """What is wrong with cutting these groups together; None where nothing is."""
    plan = uneven(groups)
    masked = masked_tensors(trial.model, groups, plan)
    try:
        small = slim(trial.model, groups, plan, share=True)
        got = run(small, trial.inputs)
        expected = run(trial.model, trial.inputs, masked)
        triples = list(zip(trial.dense, expected, got, strict=True))
        if any(one.shape != two.shape for _, one, two in triples):
            return "its cut changes the shape of the output"
        if not all(one.numel() and one.is_floating_point() for one in expected):
            triples += _inside(trial, groups, small, masked)
    except ERRORS as error:
        return broken(error)
    compared = [triple for triple in triples if triple[1].is_floating_point() and triple[1].numel()]
    if not compared:
        return SILENT
    return next((problem for triple in compared if (problem := _difference(*triple)) is not None), None)


def _inside(
    trial: Trial, groups: Sequence[ChannelGroup], small: nn.Module, masked: Mapping[str, Tensor]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What every layer computes that these groups leave whole: dense, masked and slim."""
    layers = uncut_layers(trial.model, groups)
    heard = []
    for model, tensors in ((trial.model, None), (trial.model, masked), (small, None)):
        with listening(model, layers) as answers:
            run(model, trial.inputs, tensors)
        heard.append(answers)
    dense, expected, got = heard
    return [
        (dense[call], one, got[call])
        for call, one in expected.items()
        if call in dense and call in got and one.shape == got[call].shape
    ]


def _difference(dense: Tensor, one: Tensor, two: Tensor) -> str | None:
    """How a tensor of the slim network, `two`, differs from that of the masked one beyond rounding."""
    exact, size = one.dtype == torch.float64, float(one.abs().max())
    effect = float((one - dense).abs().max()) if dense.shape == one.shape else size  # as many boxes or not
    allowed = (TOLERANCE * effect + ROUNDING * size) * (1 if exact else SINGLE)
    off = float((one - two).abs().max())
    if off <= allowed:
        return None
    return f"its cut changes the output by {off / max(size, 1e-300):.1g} of itself where masking gives none"


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
