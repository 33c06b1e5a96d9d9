"""The one training loop: fine-tuning of candidates, of the exported network, and training of a base network.

Shape legend: B samples of a batch, K classes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluators.batches import Batches, endless_indices
from evaluators.modes import logits_of, seeded
from evaluators.precision import autocast
from evaluators.recipe import Recipe
from evaluators.score import Score, accuracy, recalibrate
from evaluators.task import Task
from pruners.trace import evaluating
from spaces import ParetopruneError

__all__ = [
    "NonFiniteLossError",
    "Recipe",
    "Score",
    "TrainLog",
    "Trainer",
    "TrainingHook",
    "accuracy",
    "finetune",
    "recalibrate",
]

_CHECK_EVERY = 16
"""Steps between looks at the loss: each look waits for the device."""

OnStep = Callable[[int, float], None]
"""Called after each step with its number, from 1, and its loss; for progress bars. Each call waits for the device."""


class NonFiniteLossError(ParetopruneError):
    """The loss of a training became infinite or not a number."""


class TrainingHook(Protocol):
    """What a pruning method does while a network trains: sparsity penalties, growing regularisation, masks."""

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        """A scalar that is added to the loss of `step` (from 0), or None."""

    def after_step(self, model: nn.Module, step: int) -> None:
        """Called when the optimiser has done `step`; may change weights in place under `torch.no_grad()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainLog:
    """What a training did.

    Attributes:
        num_steps: of the optimiser.
        first_loss: before anything was learned.
        last_loss: mean over the last tenth of the steps.
        seconds: wall-clock time.
    """

    num_steps: int
    first_loss: float
    last_loss: float
    seconds: float


def finetune(
    model: nn.Module,
    task: Task,
    *,
    recipe: Recipe,
    generator: torch.Generator,
    teacher: nn.Module | None = None,
    on_step: OnStep | None = None,
) -> TrainLog:
    """Train `model`, in place, on the train split; it is left in evaluation mode.

    Args:
        model: on the task's device.
        task: the data.
        recipe: how.
        generator: on the processor; the order of the samples, the augmentation and dropout follow from it, so that
            the same generator gives the same weights (bit by bit on a processor).
        teacher: the network whose logits are distilled where the recipe has a `distill_weight`.
        on_step: for progress.

    Raises:
        NonFiniteLossError: the training diverged.
    """
    return Trainer(model=model, task=task, recipe=recipe, teacher=teacher).run(generator=generator, on_step=on_step)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trainer:
    """One training to be run; see `finetune`, which has no hooks."""

    model: nn.Module
    task: Task
    recipe: Recipe
    teacher: nn.Module | None = None
    hooks: Sequence[TrainingHook] = field(default=())

    def run(self, *, generator: torch.Generator, on_step: OnStep | None = None) -> TrainLog:
        """Do it.

        Raises:
            NonFiniteLossError: the training diverged.
        """
        started = time.perf_counter()
        num_steps = self.recipe.num_steps(len(self.task.train))
        optimiser = self._optimiser()
        batches = Batches(self.task.train)
        indices = endless_indices(len(self.task.train), batch_size=self.recipe.batch_size, generator=generator)
        losses: list[Tensor] = []
        self.model.train()
        try:
            with seeded(generator, self.task.device):
                for step in range(num_steps):
                    _set_lr(optimiser, self.recipe.lr * self.recipe.lr_factor(step, num_steps))
                    chosen = next(indices)
                    images, labels = batches.augmented(chosen, generator=generator)
                    losses.append(self._step(optimiser, step, (images, labels, chosen)))
                    if step % _CHECK_EVERY == 0 or step == num_steps - 1:
                        _check_finite(losses[-_CHECK_EVERY:], step)
                    if on_step is not None:
                        on_step(step + 1, float(losses[-1]))
        finally:
            self.model.eval()
        tail = torch.stack(losses[-max(1, num_steps // 10) :])
        seconds = time.perf_counter() - started
        return TrainLog(num_steps=num_steps, first_loss=float(losses[0]), last_loss=float(tail.mean()), seconds=seconds)

    def _step(self, optimiser: torch.optim.Optimizer, step: int, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        images, labels, chosen = batch
        with autocast(self.task.device, self.recipe.precision):
            logits = logits_of(self.model(images))
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        if self.teacher is not None and self.recipe.distill_weight > 0:
            weight = self.recipe.distill_weight
            taught = self._taught(images, chosen)
            loss = (1 - weight) * loss + weight * distillation(logits.float(), taught, self.recipe.temperature)
        total = loss
        for hook in self.hooks:
            penalty = hook.penalty(self.model, step)
            total = total if penalty is None else total + penalty
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for hook in self.hooks:
            hook.after_step(self.model, step)
        return total.detach()

    def _taught(self, images: Tensor, chosen: Tensor) -> Tensor:
        """The teacher's logits (B, K) of a batch; looked up where every image is seen unchanged, and at least once."""
        assert self.teacher is not None
        train, recipe = self.task.train, self.recipe
        if train.augment == "none" and recipe.num_steps(len(train)) * recipe.batch_size >= len(train):
            return self.task.teacher_logits(self.teacher)[chosen.to(train.device)]
        with evaluating(self.teacher), torch.no_grad():
            return logits_of(self.teacher(images)).float()

    def _optimiser(self) -> torch.optim.SGD:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.recipe.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        momentum = self.recipe.momentum
        return torch.optim.SGD(groups, lr=self.recipe.lr, momentum=momentum, nesterov=momentum > 0)


def distillation(logits_BK: Tensor, taught_BK: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of the softened answers, mean over the batch (arXiv 1503.02531, section 2)."""
    student = functional.log_softmax(logits_BK / temperature, dim=1)
    teacher = functional.log_softmax(taught_BK / temperature, dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def _set_lr(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr


def _check_finite(losses: list[Tensor], step: int) -> None:
    if not bool(torch.stack(losses).isfinite().all()):
        raise NonFiniteLossError(f"the loss is not finite at step {step + 1}: {float(losses[-1])}")
