"""How a network is trained: numbers only."""

import math
from dataclasses import dataclass
from typing import Literal

from evaluators.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum.

    Attributes:
        epochs: passes over the train split, may be a fraction; give this or `steps`.
        steps: optimiser steps.
        lr: the largest learning rate.
        batch_size: images per step.
        momentum: of the optimiser.
        weight_decay: of matrices and convolutions; batch norms and biases have none.
        schedule: `cosine` falls to zero, `constant` stays.
        warmup: fraction of the steps in which the learning rate rises from zero.
        distill_weight: share of the loss that compares with the teacher's logits; 0 needs no teacher.
        temperature: of the distillation.
        label_smoothing: of the cross-entropy.
        precision: `bfloat16` computes forward and backward in it, weights stay float32.
    """

    epochs: float | None = None
    steps: int | None = None
    lr: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = 0.0
    distill_weight: float = 0.0
    temperature: float = 4.0
    label_smoothing: float = 0.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"give either epochs or steps, got epochs={self.epochs} and steps={self.steps}")
        for rule, holds in (
            ("epochs must be positive", self.epochs is None or self.epochs > 0),
            ("steps must be at least 1", self.steps is None or self.steps >= 1),
            ("lr must be positive and finite", 0 < self.lr < math.inf),
            ("batch_size must be at least 1", self.batch_size >= 1),
            ("momentum must be in [0, 1)", 0 <= self.momentum < 1),
            ("weight_decay must not be negative", self.weight_decay >= 0),
            ("schedule must be cosine or constant", self.schedule in ("cosine", "constant")),
            ("warmup must be in [0, 1)", 0 <= self.warmup < 1),
            ("distill_weight must be in [0, 1]", 0 <= self.distill_weight <= 1),
            ("temperature must be positive", self.temperature > 0),
            ("label_smoothing must be in [0, 1)", 0 <= self.label_smoothing < 1),
            ("precision must be float32 or bfloat16", self.precision in ("float32", "bfloat16")),
        ):
            if not holds:
                name = rule.split()[0]
                raise ValueError(f"{rule}, got {getattr(self, name)!r}")

    def num_steps(self, num_samples: int) -> int:
        """Optimiser steps for a train split of `num_samples`; at least one."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        per_epoch = max(1, num_samples // self.batch_size)
        return max(1, round(self.epochs * per_epoch))

    def lr_factor(self, step: int, num_steps: int) -> float:
        """Fraction of `lr` at `step` in [0, num_steps)."""
        rising = math.ceil(self.warmup * num_steps)
        if step < rising:
            return (step + 1) / (rising + 1)
        if self.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / (num_steps - rising)))
