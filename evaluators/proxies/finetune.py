"""A short training from the inherited weights, then the score."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import nn

from evaluators.precision import Precision
from evaluators.proxy import ProxyCost
from evaluators.recipe import Recipe
from evaluators.registries import PROXIES
from evaluators.score import Score, accuracy, recalibrate
from evaluators.task import Task
from evaluators.train import finetune
from spaces import Categorical, Domain, Float, Integer

DEFAULT_STEPS = 100


@PROXIES.register("finetune")
@dataclass(frozen=True, slots=True, kw_only=True)
class Finetune:
    """Recalibrated batch norms, `steps` or `epochs` of gradient descent, optionally distilled, then the score.

    With neither steps nor epochs given it takes 100 steps. `num_samples` are those of the recalibration, as in the
    proxy of that name; 0 leaves it out. `precision` is the search's unless it is given.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "steps": Integer(low=1, high=1_000_000, log=True),
        "epochs": Float(low=0.001, high=1000, log=True),
        "lr": Float(low=1e-5, high=1.0, log=True),
        "batch_size": Integer(low=2, high=4096, log=True),
        "momentum": Float(low=0.0, high=0.999),
        "weight_decay": Float(low=0.0, high=0.1),
        "warmup": Float(low=0.0, high=0.9),
        "distill_weight": Float(low=0.0, high=1.0),
        "temperature": Float(low=0.1, high=100.0, log=True),
        "label_smoothing": Float(low=0.0, high=0.9),
        "schedule": Categorical(choices=("cosine", "constant")),
        "precision": Categorical(choices=("float32", "bfloat16", "auto")),
        "num_samples": Integer(low=0, high=1_000_000),
    }

    steps: int | None = None
    epochs: float | None = None
    lr: float = 0.01
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.0
    distill_weight: float = 0.0
    temperature: float = 4.0
    label_smoothing: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    precision: Precision | Literal["auto"] = "auto"
    num_samples: int = 1024

    def __post_init__(self) -> None:
        _ = self.recipe  # its rules are ours

    @property
    def recipe(self) -> Recipe:
        """The training."""
        unset = self.steps is None and self.epochs is None
        return Recipe(
            steps=DEFAULT_STEPS if unset else self.steps,
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            distill_weight=self.distill_weight,
            temperature=self.temperature,
            label_smoothing=self.label_smoothing,
            schedule=self.schedule,
            precision="float32" if self.precision == "auto" else self.precision,
        )

    def cost(self, *, num_train: int, num_search: int) -> ProxyCost:
        trained = self.recipe.num_steps(num_train) * min(self.batch_size, num_train)
        taught = trained if self.distill_weight > 0 else 0
        return ProxyCost(num_forward=min(self.num_samples, num_train) + num_search + taught, num_backward=trained)

    def run(
        self, model: nn.Module, task: Task, *, generator: torch.Generator, teacher: nn.Module | None = None
    ) -> Score:
        recipe = replace(self.recipe, precision=task.precision) if self.precision == "auto" else self.recipe
        if self.num_samples > 0:
            recalibrate(
                model, task.train, num_samples=self.num_samples, precision=recipe.precision, generator=generator
            )
        finetune(model, task, recipe=recipe, generator=generator, teacher=teacher)
        return accuracy(model, task.search, precision=recipe.precision)
