"""Pruning in rounds: a part of the way to the budget, training, and again on the trained network."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from evaluators.recipe import Recipe
from evaluators.task import Task
from evaluators.train import finetune
from pruners import ALLOCATORS, METHODS, GroupRules, Plan, analyse, gather_evidence, make_plan, slim
from spaces import Candidate, ChannelGroup

CALIBRATION_IMAGES = 256


def prune_in_rounds(
    candidate: Candidate,
    model: nn.Module,
    task: Task,
    *,
    recipe: Recipe,
    generator: torch.Generator,
    rules: GroupRules | None = None,
) -> tuple[nn.Module, tuple[Plan, ...]]:
    """The network that `candidate.rounds` cuts leave, trained after each cut but the last.

    Each cut removes the same share of the MACs that are there; its plan is made from the weights as the training before
    it left them. The last network is returned untrained, like that of a candidate of one round, and without the
    candidate's step.

    Args:
        candidate: its offsets are spread over the rounds.
        model: the dense network, on the task's device; not changed.
        task: the data.
        recipe: of the training between two cuts.
        generator: decides everything random.
        rules: which groups may be cut.

    Returns:
        The network and the plan of each round, over the groups of the network before it.

    Raises:
        InfeasibleError: no network in reach meets the budget.
        PlanError: a plan can't be made.
        NonFiniteLossError: a training diverged.
    """
    needs = ALLOCATORS.entry(candidate.allocator.name).target.needs | METHODS.entry(candidate.method.name).target.needs
    plans: list[Plan] = []
    network = model
    for number in range(1, candidate.rounds + 1):
        analysis = analyse(network, task.example, rules=rules)
        batches = task.batches(CALIBRATION_IMAGES, generator=generator)
        evidence = gather_evidence(network, analysis, needs=needs, batches=batches)
        left = candidate.rounds - number
        budget = budget_of_round(analysis.cost.dense_macs, candidate.budget_macs, rounds_left=left)
        plan = make_plan(_of_round(candidate, budget, analysis.groups), analysis, evidence)
        network = slim(network, analysis.groups, plan)
        plans.append(plan)
        if left:
            finetune(network, task, recipe=recipe, generator=generator)
    return network.eval(), tuple(plans)


def budget_of_round(current_macs: int, final_macs: int, *, rounds_left: int) -> int:
    """MACs after the next cut, when `rounds_left` more of the same ratio follow it."""
    ratio = min(1.0, final_macs / current_macs)
    return max(final_macs, round(current_macs * float(ratio ** (1 / (rounds_left + 1)))))


def _of_round(candidate: Candidate, budget_macs: int, groups: Sequence[ChannelGroup]) -> Candidate:
    """The candidate of one cut: offsets in equal parts, without those of groups that are down to one channel."""
    known = {group.name for group in groups} | {group.stage for group in groups}
    offsets = tuple((name, offset / candidate.rounds) for name, offset in candidate.offsets if name in known)
    return replace(candidate, budget_macs=budget_macs, offsets=offsets, step=None, rounds=1)
