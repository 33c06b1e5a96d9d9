"""Self-grouping as published: connections go in steps, with training after each (local) and at the end (global)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from evaluators.masked import MaskHook
from evaluators.modes import logits_of
from evaluators.owned import norms
from evaluators.recipe import Recipe
from evaluators.score import Score, accuracy
from evaluators.task import Task
from evaluators.train import Trainer
from pruners.connections import kernel_taylor
from pruners.grouped import Layer
from pruners.masks import Masks
from pruners.steps.regroup import Regroup, regroupable, replace_masked
from pruners.trace import evaluating

TAYLOR_IMAGES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RegroupSchedule:
    """When what is cut and trained.

    Attributes:
        percentages: cumulative share of cut connections after each step; published: 10, 20, ..., 90.
        step_epochs: of the training after each step (local fine-tuning); 0 leaves it out.
        final_epochs: of the training of the finished network (global fine-tuning); 0 leaves it out.
        lasso: factor on the sum of the filters' Euclidean norms, added to the loss of the trainings between steps, so
            that a filter's connections shrink together; the code has it at 0 (1e-4 commented out).
    """

    percentages: tuple[float, ...] = (10, 20, 30, 40, 50)
    step_epochs: float = 0.0
    final_epochs: float = 1.0
    lasso: float = 0.0

    def __post_init__(self) -> None:
        if not self.percentages or list(self.percentages) != sorted(self.percentages):
            raise ValueError(f"percentages must rise, got {self.percentages}")
        least = min(self.step_epochs, self.final_epochs, self.lasso)
        if min(self.percentages) < 0 or max(self.percentages) > 100 or least < 0:
            raise ValueError(f"needs percentages in [0, 100], epochs >= 0 and lasso >= 0, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegroupRound:
    """The network after a step.

    Attributes:
        percentage: asked for.
        connections: between filters and input channels that are left in regrouped layers.
        score: on the search split, after the step's training.
    """

    percentage: float
    connections: int
    score: Score


def run_regroup(
    model: nn.Module,
    task: Task,
    *,
    step: Regroup,
    schedule: RegroupSchedule,
    recipe: Recipe,
    generator: torch.Generator,
) -> tuple[nn.Module, tuple[RegroupRound, ...]]:
    """Cut the connections of `model` step by step and make it smaller; it is changed in place.

    Source: arXiv:2009.13803. Every step clusters the retrained filters anew. The published schemes: local and global
    (both epochs above 0), global only (`step_epochs` 0).

    Args:
        model: on the task's device; channels may be cut already.
        task: the data.
        step: how filters are grouped; its own `cp` is not used.
        schedule: steps and trainings.
        recipe: of all trainings; its length is the schedule's.
        generator: decides everything random.

    Returns:
        The network with grouped layers, in evaluation mode, and what was measured after each step.

    Raises:
        NonFiniteLossError: a training diverged.
    """
    layers = {name: layer for name, layer in regroupable(model).items() if min(layer.weight.shape[:2]) > 1}
    masks = {name: torch.ones(layer.weight.shape[:2], dtype=torch.bool) for name, layer in layers.items()}
    rounds: list[RegroupRound] = []
    for percentage in schedule.percentages:
        taylor = _taylor(model, layers, task, generator) if step.importance == "taylor" else {}
        grouped = {name: step.clustered(layer, taylor=taylor.get(name)) for name, layer in layers.items()}
        masks = {name: step.mask(found, percentage, mask=masks[name]) for name, found in grouped.items()}
        on_weights = _on_weights(model, masks)
        on_weights.apply(model)
        hooks = (MaskHook(masks=on_weights), FilterLasso(layers=tuple(layers.values()), strength=schedule.lasso))
        if schedule.step_epochs > 0:
            shorter = replace(recipe, steps=None, epochs=schedule.step_epochs)
            Trainer(model=model, task=task, recipe=shorter, hooks=hooks).run(generator=generator)
        connections = sum(int(mask.sum()) for mask in masks.values())
        score = accuracy(model, task.search)
        rounds.append(RegroupRound(percentage=percentage, connections=connections, score=score))
    network = replace_masked(model, masks)
    if schedule.final_epochs > 0:
        longer = replace(recipe, steps=None, epochs=schedule.final_epochs)
        Trainer(model=network, task=task, recipe=longer).run(generator=generator)
    return network.eval(), tuple(rounds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FilterLasso:
    """A `TrainingHook`: `strength` times the sum of the Euclidean norms of all filters of some layers."""

    layers: tuple[Layer, ...]
    strength: float

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        """The sum, or None where the strength is 0."""
        if self.strength == 0:
            return None
        squares = [layer.weight.flatten(1).square().sum(dim=1) for layer in self.layers]
        return self.strength * norms(torch.cat(squares)).sum()

    def after_step(self, model: nn.Module, step: int) -> None:
        """Nothing: the penalty is all."""


def _taylor(model: nn.Module, layers: Mapping[str, Layer], task: Task, generator: torch.Generator) -> dict[str, Tensor]:
    """Mean over batches of `kernel_taylor` of each layer, on the network as it is now."""
    sums = {name: torch.zeros(layer.weight.shape[:2], dtype=torch.float64) for name, layer in layers.items()}
    weights = [layer.weight for layer in layers.values()]
    for images, labels in task.batches(TAYLOR_IMAGES, batch_size=64, generator=generator):
        with evaluating(model), torch.enable_grad():
            loss = task.loss(logits_of(model(images)), labels)
            gradients = torch.autograd.grad(loss, weights)
        for name, weight, gradient in zip(layers, weights, gradients, strict=True):
            sums[name] += kernel_taylor(weight, gradient).cpu()
    return sums


def _on_weights(model: nn.Module, masks: Mapping[str, Tensor]) -> Masks:
    """Masks of connections (n, c) as masks of the weights' shapes."""
    kept = {}
    for name, mask in masks.items():
        weight = model.get_parameter(f"{name}.weight")
        wide = mask.to(weight.device).reshape(*mask.shape, *[1] * (weight.dim() - 2))
        kept[f"{name}.weight"] = wide.expand_as(weight)
    return Masks(kept=kept)
