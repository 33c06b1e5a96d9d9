"""Our plugins without any search: allocators and methods of the literature at their published defaults."""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch

from benchmarks.search.networks import Chosen
from benchmarks.search.setting import Budget, Contender, Setting, none_found
from evaluators.worker import Evaluator
from pruners import ALLOCATORS, METHODS, Evidence, gather_evidence
from search.prepare import EVIDENCE_SAMPLES
from spaces import Candidate, Choice, InfeasibleError, PlanError
from spaces.domain import Value


def published(name: str, allocator: str, method: str, params: Mapping[str, Value] | None = None) -> Contender:
    """The contender of one allocator and one method."""

    def choose(setting: Setting, budgets: Sequence[Budget]) -> Iterator[Chosen]:
        started = time.perf_counter()
        evidence = evidence_for(setting, allocator, method)
        gathered = setting.analysis_seconds + time.perf_counter() - started
        prepared = setting.prepared
        evaluator = Evaluator(prepared.spec, prepared.splits, prepared.analysis, evidence, ())
        for budget in budgets:
            started = time.perf_counter()
            candidate = Candidate(
                budget_macs=budget.macs, allocator=Choice.of(allocator, params), method=Choice.of(method)
            )
            try:
                plan, _ = evaluator.build(candidate)
            except (InfeasibleError, PlanError) as error:
                yield none_found(name, budget, str(error))
                continue
            seconds = gathered + time.perf_counter() - started
            yield setting.chosen(name, budget, dict(plan), seconds=seconds, version="paretoprune")

    return choose


def evidence_for(setting: Setting, allocator: str, method: str) -> Evidence:
    """What the two plugins declare that they need, from as many train images as a search uses."""
    prepared, task = setting.prepared, setting.prepared.task
    needs = ALLOCATORS.entry(allocator).target.needs | METHODS.entry(method).target.needs
    generator = torch.Generator().manual_seed(task.spec.seed)
    batches = task.batches(EVIDENCE_SAMPLES, batch_size=64, generator=generator)
    return gather_evidence(prepared.model, prepared.analysis, needs=needs, batches=batches, loss=task.loss)
