"""Our own search: one run over a range of budgets, from which every budget is answered, or one for each budget."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from benchmarks.search.networks import FOLDER, Chosen
from benchmarks.search.setting import Budget, Contender, Setting, none_found
from evaluators.artifact import save_slim
from evaluators.rounds import share_of
from evaluators.worker import Evaluator, candidate_generator
from pruners import Plan, count, slim
from pruners.step_budget import finish
from search.config import Config
from search.flow import SearchResult, read_run, run_search
from search.front import Measured
from search.picking import best_at, pick
from search.prepare import Prepared, prepare
from search.recipes import ladder
from search.run_folder import find_run, with_overrides
from spaces import PlanError, UserError

RUNS = "runs"


def searched(name: str, *overrides: str) -> Contender:
    """The contender of one run; `overrides` change the benchmark's configuration."""

    def choose(setting: Setting, budgets: Sequence[Budget]) -> Iterator[Chosen]:
        return answered(name, run_name(name), setting, budgets, overrides)

    return choose


def targeted(name: str, *overrides: str) -> Contender:
    """The contender that searches anew for every budget, with that budget as its target."""

    def choose(setting: Setting, budgets: Sequence[Budget]) -> Iterator[Chosen]:
        for budget in budgets:
            changed = (*overrides, f"target_flops={budget.macs}")
            yield from answered(name, run_name(f"{name}-{budget.label}"), setting, [budget], changed)

    return choose


def run_name(name: str) -> str:
    """The name of the run that answers `name`."""
    return name.replace("@", "-")


def answered(
    name: str, run: str, setting: Setting, budgets: Sequence[Budget], overrides: Sequence[str]
) -> Iterator[Chosen]:
    """What the run called `run` answers for the budgets, as the contender `name`."""
    result, seconds = finished_run(run, setting, overrides)
    prepared = prepare(result.config, folder=result.folder.path, known=result.dense)
    evaluator = Evaluator(prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, ())
    facts: dict[str, Any] = {
        "seconds": seconds,
        "cores": workers(result.config),
        "evaluations": len(result.measured),
        "version": "paretoprune",
    }
    for budget in budgets:
        try:
            started = time.perf_counter()
            member = pick(result, str(budget.macs))
            answer = best_at(result, prepared, member=member, target_flops=str(budget.macs))
            plan, network = made(replace(member, candidate=answer.candidate), prepared, evaluator)
        except (UserError, PlanError) as error:
            yield none_found(name, budget, str(error), **facts)
            continue
        facts["seconds"] = seconds + time.perf_counter() - started
        yield replace(record(name, budget, setting, plan, network), **facts)


def finished_run(name: str, setting: Setting, overrides: Sequence[str]) -> tuple[SearchResult, float]:
    """The run of an earlier call, or one that is searched now; and its wall-clock seconds, start to end.

    Raises:
        UserError: an earlier run has not ended; whoever removes its folder has it searched again.
    """
    runs = setting.out / RUNS
    timing = runs / f"{name}.json"
    if timing.exists():
        result = read_run(find_run(name, runs=runs))
        return result, float(json.loads(timing.read_text(encoding="utf-8"))["seconds"])
    if (runs / name).exists():
        raise UserError("--contenders", name, f"{runs / name} holds a run that has not ended; remove it and run again")
    started = time.perf_counter()
    result = run_search(with_overrides(setting.config, overrides), runs=runs, name=name, say=print)
    seconds = time.perf_counter() - started
    timing.write_text(json.dumps({"seconds": seconds}) + "\n", encoding="utf-8")
    return result, seconds


def workers(config: Config) -> int:
    """Processes that evaluate candidates."""
    return config.workers.count or max(1, int((os.cpu_count() or 1) / config.workers.cpus))


def made(member: Measured, prepared: Prepared, evaluator: Evaluator) -> tuple[Plan, nn.Module]:
    """The member's channels and its network, with inherited weights.

    Of a candidate of several rounds the channels count, with the dense weights: what it was trained between its cuts
    would be on top of the fine-tuning that all share.
    """
    candidate, evaluation = member.candidate, member.evaluation
    if candidate.rounds == 1:
        return evaluator.build(candidate)
    proxy = share_of(ladder(prepared.config)[evaluation.fidelity].build(), candidate.rounds)
    generator = candidate_generator(candidate, seed=evaluation.seed)
    groups, evidence = prepared.analysis.groups, prepared.evidence
    plan, _ = evaluator.build_in_rounds(candidate, proxy, generator=generator)
    network = slim(evaluator.dense, groups, plan)
    network = finish(candidate, network, groups=groups, plan=plan, dense=evaluator.dense, evidence=evidence)
    return plan, network.eval()


def record(name: str, budget: Budget, setting: Setting, plan: Plan, network: nn.Module) -> Chosen:
    """The record of a network; with its weights where they are more than a slice of the dense ones."""
    prepared = setting.prepared
    if same_tensors(network, slim(prepared.model, prepared.analysis.groups, plan)):
        return setting.chosen(name, budget, dict(plan))
    counts = count(network, prepared.task.example)
    chosen = Chosen(
        contender=name, budget=budget.label, budget_macs=budget.macs, macs=counts.macs, params=counts.params
    )
    task = prepared.task
    place = setting.out / FOLDER / chosen.place
    save_slim(place, network, task.spec.model, num_classes=task.num_classes, example=task.example)
    return chosen


def same_tensors(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same layers with the same weights and statistics."""
    left, right = one.state_dict(), other.state_dict()
    kinds = [[type(module) for module in network.modules()] for network in (one, other)]
    return kinds[0] == kinds[1] and left.keys() == right.keys() and all(left[k].equal(right[k]) for k in left)
