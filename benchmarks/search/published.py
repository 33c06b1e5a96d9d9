"""Our plugins without any search: allocators and methods of the literature at their published defaults."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from benchmarks.search.networks import Chosen
from benchmarks.search.searched import record
from benchmarks.search.setting import Budget, Contender, Setting, none_found
from evaluators.worker import Evaluator
from pruners import ALLOCATORS, METHODS, STEPS, Evidence, gather_evidence
from search.prepare import EVIDENCE_SAMPLES
from spaces import Candidate, Choice, InfeasibleError, PlanError
from spaces.domain import Value


def published(
    name: str, allocator: str, method: str, params: Mapping[str, Value] | None = None, *, step: str | None = None
) -> Contender:
    """The contender of one allocator and one method, and perhaps a step after them."""

    def choose(setting: Setting, budgets: Sequence[Budget]) -> Iterator[Chosen]:
        started = time.perf_counter()
        evidence = evidence_for(setting, allocator, method, step)
        gathered = setting.analysis_seconds + time.perf_counter() - started
        prepared = setting.prepared
        evaluator = Evaluator(prepared.spec, prepared.splits, prepared.analysis, evidence, ())
        for budget in budgets:
            started = time.perf_counter()
            candidate = Candidate(
                budget_macs=budget.macs,
                allocator=Choice.of(allocator, params),
                method=Choice.of(method),
                step=None if step is None else Choice.of(step),
            )
            try:
                plan, network = evaluator.build(candidate)
            except (InfeasibleError, PlanError) as error:
                yield none_found(name, budget, str(error))
                continue
            seconds = gathered + time.perf_counter() - started
            chosen = record(name, budget, setting, plan, network)
            yield replace(chosen, seconds=seconds, version="paretoprune")

    return choose


def evidence_for(setting: Setting, allocator: str, method: str, step: str | None) -> Evidence:
    """What the plugins declare that they need, from as many train images as a search uses."""
    prepared, task = setting.prepared, setting.prepared.task
    needs = ALLOCATORS.entry(allocator).target.needs | METHODS.entry(method).target.needs
    needs |= frozenset() if step is None else STEPS.entry(step).target.needs
    generator = torch.Generator().manual_seed(task.spec.seed)
    batches = task.batches(EVIDENCE_SAMPLES, batch_size=64, generator=generator)
    return gather_evidence(prepared.model, prepared.analysis, needs=needs, batches=batches, loss=task.loss)
