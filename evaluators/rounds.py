"""Pruning in rounds: a part of the way to the budget, training, and again on the trained network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from evaluators.proxy import Proxy
from evaluators.recipe import Recipe
from evaluators.score import recalibrate
from evaluators.task import Task
from evaluators.train import finetune
from pruners import ALLOCATORS, METHODS, STEPS, Analysis, Evidence, Plan, gather_evidence, make_plan, slim
from pruners.remaining import composed, remaining
from pruners.step_budget import channel_candidate, finish, priced
from spaces import Candidate

CALIBRATION_IMAGES = 256

Between = Callable[[nn.Module], object]
"""Trains a network, in place, after a cut that is not the last."""


def prune_in_rounds(
    candidate: Candidate,
    model: nn.Module,
    task: Task,
    *,
    analysis: Analysis,
    between: Between,
    generator: torch.Generator,
    evidence: Evidence | None = None,
) -> tuple[Plan, nn.Module]:
    """The network that `candidate.rounds` cuts leave, trained after each cut but the last.

    Each cut removes the same share of the MACs, and of the milliseconds, that are there; its plan is made from the
    weights as the training before it left them. The candidate's step comes after the last cut, and what it saves is
    counted from the first one on. The last network is returned untrained, like that of a candidate of one round.

    Args:
        candidate: its offsets are spread over the rounds.
        model: the dense network, on the task's device; not changed.
        task: the data.
        analysis: of the dense network.
        between: the training between two cuts.
        generator: on the processor; which images the evidence is gathered on.
        evidence: of the dense network, where it is there already.

    Returns:
        The channels of the dense network that are left, and the small network in evaluation mode.

    Raises:
        InfeasibleError: no network in reach meets the budget.
        PlanError: a plan can't be made.
        NonFiniteLossError: a training diverged.
    """
    channels = channel_candidate(candidate, analysis.cost)
    plans: list[Plan] = []
    network, here = model, analysis
    facts = evidence or _evidence(candidate, network, task, here, generator)
    for left in reversed(range(candidate.rounds)):
        after_step = priced(candidate, here, facts)
        if left:  # a limit of milliseconds holds for the network that is left in the end
            after_step = replace(after_step, latency=None)
        macs = int(after_step.cost.macs(here.cost.dense)[0])
        budget = budget_of_round(macs, channels.budget_macs, rounds_left=left)
        if after_step.latency is not None:
            latency = after_step.latency.for_round(here.cost.dense, rounds_left=left)
            after_step = replace(after_step, latency=latency)
        plan = make_plan(_of_round(candidate, budget), after_step, facts)
        small = slim(network, here.groups, plan)
        plans.append(plan)
        if left:
            between(small)
            network, here = small, remaining(here, plan)
            facts = _evidence(candidate, network, task, here, generator)
    finished = finish(candidate, small, groups=here.groups, plan=plan, dense=network, evidence=facts)
    return composed(analysis.groups, plans), finished.eval()


def budget_of_round(current_macs: int, final_macs: int, *, rounds_left: int) -> int:
    """MACs after the next cut, when `rounds_left` more of the same ratio follow it."""
    ratio = min(1.0, final_macs / current_macs)
    return max(final_macs, round(current_macs * float(ratio ** (1 / (rounds_left + 1)))))


def share_of(proxy: Proxy, rounds: int) -> Proxy:
    """The proxy with its training divided by `rounds`, so that all rounds together train as long as one round does.

    A proxy says by a `recipe` that it trains, and takes `steps` and `epochs`; any other is the same in every round.
    """
    recipe: Recipe | None = getattr(proxy, "recipe", None)
    if recipe is None or rounds == 1:
        return proxy
    shorter: Any = proxy
    if recipe.epochs is not None:
        return replace(shorter, epochs=recipe.epochs / rounds)  # type: ignore[no-any-return]
    assert recipe.steps is not None
    return replace(shorter, steps=max(1, round(recipe.steps / rounds)))  # type: ignore[no-any-return]


def between_by(proxy: Proxy, task: Task, *, generator: torch.Generator, teacher: nn.Module) -> Between:
    """What the proxy does to a network before it scores it: recalibration, and training where it trains."""
    recipe: Recipe | None = getattr(proxy, "recipe", None)
    num_samples = int(getattr(proxy, "num_samples", 0))

    def train(network: nn.Module) -> None:
        if num_samples > 0:
            recalibrate(network, task.train, num_samples=num_samples, precision=task.precision, generator=generator)
        if recipe is not None:
            finetune(network, task, recipe=recipe, generator=generator, teacher=teacher)

    return train


def _evidence(
    candidate: Candidate, network: nn.Module, task: Task, analysis: Analysis, generator: torch.Generator
) -> Evidence:
    used: list[Any] = [ALLOCATORS.entry(candidate.allocator.name).target, METHODS.entry(candidate.method.name).target]
    if candidate.step is not None:
        used.append(STEPS.entry(candidate.step.name).target)
    needs = frozenset().union(*(plugin.needs for plugin in used))
    batches = task.batches(CALIBRATION_IMAGES, batch_size=64, generator=generator)
    return gather_evidence(network, analysis, needs=needs, batches=batches, loss=task.loss)


def _of_round(candidate: Candidate, budget_macs: int) -> Candidate:
    """The candidate of one cut of channels: offsets in equal parts."""
    offsets = tuple((name, offset / candidate.rounds) for name, offset in candidate.offsets)
    return replace(candidate, budget_macs=budget_macs, offsets=offsets, step=None, rounds=1)
