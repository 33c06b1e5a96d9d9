"""Pruning while training: a regime inside the common loop, on a copy of the dense network."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from evaluators.recipe import Recipe
from evaluators.regime import Regime, Setting
from evaluators.regimes.granet import GradualMasks, GraNet
from evaluators.task import Task
from evaluators.train import Trainer
from evaluators.weight_round import WeightRound
from pruners import ALLOCATORS, Analysis, GroupRules, Plan, analyse, gather_evidence, make_plan
from pruners.clone import clone
from pruners.masks import Masks
from pruners.step_budget import channel_candidate
from spaces import Candidate, Choice, PlanError

CALIBRATION_IMAGES = 256


def prune_while_training(
    regime: Regime,
    model: nn.Module,
    task: Task,
    *,
    candidate: Candidate,
    recipe: Recipe,
    generator: torch.Generator,
    rules: GroupRules | None = None,
) -> nn.Module:
    """The dense network after a training under `regime`, in evaluation mode, with all its channels.

    It is ready for `analyse`, `gather_evidence`, `make_plan` and `slim` with any method; `regime.reads` names the usual
    one. `evaluators.rounds.prune_in_rounds` does these for one round or more.

    Args:
        regime: of channels.
        model: the dense network, on the task's device; not changed.
        task: the data.
        candidate: its budget, allocator and offsets say how many channels a regime that picks early will pick.
        recipe: of the training; its steps are the regime's.
        generator: decides everything random.
        rules: which groups may be cut.

    Raises:
        UserError: network or recipe don't suit the regime.
        InfeasibleError: no network in reach meets the budget.
        PlanError: the regime masks single weights, or an early plan can't be made.
        NonFiniteLossError: the training diverged.
    """
    if regime.granularity != "channels":
        raise PlanError(f"regime {type(regime).__name__} masks single weights; it does not prune channels")
    network: nn.Module = clone(model, {})
    analysis = analyse(network, task.example, rules=rules)
    setting = Setting(
        groups=analysis.groups,
        num_steps=recipe.num_steps(len(task.train)),
        plan=_planner(candidate, analysis, task),
        example=task.example,
    )
    hooks = regime.hooks(network, setting)
    Trainer(model=network, task=task, recipe=recipe, hooks=hooks).run(generator=generator)
    return network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedTraining:
    """The masks that a training of single weights ended with, and what was masked after every update."""

    masks: Masks
    rounds: tuple[WeightRound, ...]


def mask_while_training(
    regime: GraNet, model: nn.Module, task: Task, *, recipe: Recipe, generator: torch.Generator
) -> MaskedTraining:
    """Train `model`, in place, under masks that grow; it ends with masked weights at zero, and no smaller.

    Raises:
        NonFiniteLossError: the training diverged.
    """
    setting = Setting(
        groups=(), num_steps=recipe.num_steps(len(task.train)), plan=lambda _: Plan.of({}), example=task.example
    )
    hook = GradualMasks(model, setting, regime)
    Trainer(model=model, task=task, recipe=recipe, hooks=(hook,)).run(generator=generator)
    return MaskedTraining(masks=hook.masks, rounds=tuple(hook.rounds))


def _planner(candidate: Candidate, analysis: Analysis, task: Task) -> Callable[[nn.Module], Plan]:
    """Makes the candidate's plan with the method `l1`, on the weights as they are when it is called."""
    needs = ALLOCATORS.entry(candidate.allocator.name).target.needs | {"weights"}
    cut = channel_candidate(candidate, analysis.cost)
    wanted = replace(cut, method=Choice.of("l1"), step=None, rounds=1)

    def plan(network: nn.Module) -> Plan:
        batches = task.batches(CALIBRATION_IMAGES, generator=torch.Generator().manual_seed(task.spec.seed))
        return make_plan(wanted, analysis, gather_evidence(network, analysis, needs=needs, batches=batches))

    return plan
