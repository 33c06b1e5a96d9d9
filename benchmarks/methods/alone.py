"""What one plugin does alone: an allocator with l2, a method with uniform, a step with both."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from torch import nn

from evaluators.recipe import Recipe
from evaluators.train import accuracy, finetune, recalibrate
from evaluators.worker import candidate_generator
from pruners import ALLOCATORS, METHODS, STEPS, Evidence, Plan, count_macs, gather_evidence, slim
from pruners.evidence import FROM_DATA, Cache
from pruners.step_budget import finish, plan_before_step, priced
from search.prepare import EVIDENCE_SAMPLES, Prepared
from spaces import Candidate, Categorical, Choice, Domain, Entry, Integer
from spaces.domain import Value

__all__ = ["Row", "candidates", "gather_seconds", "measure"]

REPEATS = 5
PLAIN = {"allocator": Choice.of("uniform"), "method": Choice.of("l2")}
NOT_ALONE = {"explicit"}
"""Allocators that only carry a vector which somebody wrote down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One plugin alone.

    Attributes:
        kind: allocator, method or step.
        name: as registered.
        of_target: MACs of the built network over the budget; at most 1.
        tight: whether no channel more would fit the budget; a step that solves its own scalar is not held to it.
        first_ms: making the plan from evidence that nobody has looked at yet.
        fresh_ms: the same when everything but this plugin's hyper-parameters is known: median of drawn ones.
        warm_ms: the same for a candidate that was planned before.
        cut_ms: building the small network, with the step.
        recalibrated: accuracy on the search split with new batch-norm statistics.
        finetuned: after the short training too, where there is one.
    """

    kind: str
    name: str
    of_target: float
    tight: bool
    first_ms: float
    fresh_ms: float
    warm_ms: float
    cut_ms: float
    recalibrated: float
    finetuned: float


def candidates(budget_macs: int) -> Iterator[tuple[str, Entry[Any], Candidate]]:
    """Kind, plugin, and the candidate that uses it with its published hyper-parameters."""
    for kind, registry in (("allocator", ALLOCATORS), ("method", METHODS), ("step", STEPS)):
        for entry in registry:
            if entry.name not in NOT_ALONE:
                yield kind, entry, _candidate(kind, Choice.of(entry.name), budget_macs)


def gather_seconds(prepared: Prepared, *, each: bool) -> tuple[Evidence, dict[str, tuple[float, float]]]:
    """The evidence of all plugins, and (wall-clock, processor) seconds for all kinds together, and for each alone."""
    kinds = {kind: frozenset({kind}) for kind in ("weights", *sorted(FROM_DATA)) if each}
    kinds["all kinds"] = FROM_DATA | {"weights"}
    seconds: dict[str, tuple[float, float]] = {}
    for name, needs in kinds.items():
        generator = candidate_generator(next(prepared.space.anchors()), seed=0)
        batches = prepared.task.batches(EVIDENCE_SAMPLES, batch_size=64, generator=generator)
        started = time.perf_counter(), time.process_time()
        evidence = gather_evidence(
            prepared.model, prepared.analysis, needs=needs, batches=batches, loss=prepared.task.loss
        )
        seconds[name] = time.perf_counter() - started[0], time.process_time() - started[1]
    return evidence, seconds


def measure(
    prepared: Prepared,
    evidence: Evidence,
    plugin: tuple[str, Entry[Any], Candidate],
    *,
    num_images: int,
    recipe: Recipe | None,
) -> Row:
    """Plan, cut, recalibrate and perhaps fine-tune; processor time, so that other work on the machine counts less."""
    kind, entry, candidate = plugin
    analysis = prepared.analysis
    first = _milliseconds(lambda: plan_before_step(candidate, analysis, _unread(evidence)))
    known = _unread(evidence)
    plan = plan_before_step(candidate, analysis, known)
    drawn = [
        _candidate(kind, Choice.of(entry.name, params), candidate.budget_macs)
        for params in itertools.islice(_draws(entry.domains), REPEATS)
    ]
    fresh = median(_milliseconds(lambda c=c: plan_before_step(c, analysis, known)) for c in drawn)  # type: ignore[misc]
    warm = median(_milliseconds(lambda: plan_before_step(candidate, analysis, known)) for _ in range(REPEATS))
    built: list[nn.Module] = []
    cut = median(_milliseconds(lambda: built.append(_built(prepared, candidate, plan, known))) for _ in range(3))
    small, task = built[-1], prepared.task
    macs = count_macs(small, task.example)
    generator = candidate_generator(candidate, seed=0)
    recalibrate(small, task.train, num_samples=num_images, generator=generator)
    before = after = accuracy(small, task.search).accuracy
    if recipe is not None:
        finetune(small, task, recipe=recipe, generator=generator)
        after = accuracy(small, task.search).accuracy
    return Row(
        kind=kind,
        name=entry.name,
        of_target=macs / candidate.budget_macs,
        tight=hasattr(entry.target, "share") or _tight(plan, prepared, candidate, known),
        first_ms=first,
        fresh_ms=fresh,
        warm_ms=warm,
        cut_ms=cut,
        recalibrated=before,
        finetuned=after,
    )


def _built(prepared: Prepared, candidate: Candidate, plan: Plan, evidence: Evidence) -> nn.Module:
    dense, groups = prepared.model, prepared.analysis.groups
    return finish(candidate, slim(dense, groups, plan), groups=groups, plan=plan, dense=dense, evidence=evidence).eval()


def _candidate(kind: str, choice: Choice, budget_macs: int) -> Candidate:
    return Candidate(budget_macs=budget_macs, **{**PLAIN, kind: choice})  # type: ignore[arg-type]


def _unread(evidence: Evidence) -> Evidence:
    """The same evidence, with nothing derived from it yet."""
    return replace(evidence, _derived=Cache())


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1e3 * (time.process_time() - started)


def _draws(domains: Mapping[str, Domain]) -> Iterator[dict[str, Value]]:
    """Hyper-parameters from all over their domains."""
    generator = random.Random(0)
    while True:
        yield {name: _draw(domain, generator) for name, domain in domains.items()}


def _draw(domain: Domain, generator: random.Random) -> Value:
    if isinstance(domain, Categorical):
        return generator.choice(domain.choices)
    share = generator.random()
    steps = domain.high / domain.low if domain.log else domain.high - domain.low
    value = domain.low * steps**share if domain.log else domain.low + share * steps
    return round(value) if isinstance(domain, Integer) else value


def _tight(plan: Plan, prepared: Prepared, candidate: Candidate, evidence: Evidence) -> bool:
    """Whether every group that may have another channel would then be over the budget."""
    groups = prepared.analysis.groups
    cost = priced(candidate, prepared.analysis, evidence).cost
    kept = plan.counts(groups)
    larger = kept + np.diag([group.multiple_of for group in groups])
    allowed = (larger <= np.array([group.max_keep for group in groups])).all(axis=1)
    return bool((cost.macs(larger)[allowed] > candidate.budget_macs).all())
