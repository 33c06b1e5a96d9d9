"""Gradual pruning of single weights with neuroregeneration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from evaluators.regime import Setting
from evaluators.registries import REGIMES
from evaluators.train import TrainingHook
from evaluators.weight_round import WeightRound, weight_round
from pruners.gradual import GradualScope, cubic_sparsity, pruned_to, regenerated
from pruners.masks import Masks, prunable_weights
from spaces import Categorical, Domain, Float, Integer


@REGIMES.register("granet", paper="arXiv:2106.10404")
@dataclass(frozen=True, slots=True, kw_only=True)
class GraNet:
    """GraNet: single weights go on a cubic schedule; each time some more are swapped for those with large gradients.

    Source: Liu et al., arXiv:2106.10404, algorithm 1. Masked sparsity after update t of n is final + (initial - final)
    (1 - t / n)^3; the swapped share of a tensor's live weights falls from `regrow` to 0 as a cosine over the training.
    Ours: updates are spread over the share `ramp` of the steps instead of every 1000, `initial` masks small magnitudes
    instead of a random graph, and a weight that comes back has the momentum that it gathered while it was masked.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "sparsity": Float(low=0.5, high=0.99),
        "initial": Float(low=0.0, high=0.5),
        "updates": Integer(low=1, high=1000, log=True),
        "ramp": Float(low=0.3, high=0.9),
        "regrow": Float(low=0.0, high=0.9),
        "scope": Categorical(choices=("global", "layer")),
    }
    granularity: ClassVar[Literal["channels", "weights"]] = "weights"
    reads: ClassVar[str] = ""
    fidelity: ClassVar[str] = "updates fitted into the training; starts from trained weights"

    sparsity: float = 0.9
    initial: float = 0.0
    updates: int = 10
    ramp: float = 0.7
    regrow: float = 0.5
    scope: GradualScope = "global"

    def hooks(self, model: nn.Module, setting: Setting) -> tuple[TrainingHook, ...]:
        return (GradualMasks(model, setting, self),)


class GradualMasks:
    """A `TrainingHook` with the masks as they are now, and what was masked after every update."""

    def __init__(self, model: nn.Module, setting: Setting, regime: GraNet) -> None:
        self._setting, self._regime = setting, regime
        ramp = max(1, int(regime.ramp * setting.num_steps))
        self._updates = min(regime.updates, ramp)
        self._interval = ramp // self._updates
        self.masks = pruned_to(prunable_weights(model), Masks.dense(model), self.sparsity(0), scope=regime.scope)
        self.masks.apply(model)
        self.rounds: list[WeightRound] = []
        self._record(model, 0)

    def sparsity(self, update: int) -> float:
        """Masked share after an update."""
        regime = self._regime
        return cubic_sparsity(update, self._updates, initial=regime.initial, final=regime.sparsity)

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        """None: masks add nothing to the loss."""
        return None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Take back what the optimiser did to masked weights; every so often, new masks."""
        update, rest = divmod(step + 1, self._interval)
        if rest == 0:
            self._update(model, update, progress=(step + 1) / self._setting.num_steps)
        self.masks.apply(model)
        if rest == 0:
            self._record(model, update)

    def _update(self, model: nn.Module, update: int, *, progress: float) -> None:
        weights = prunable_weights(model)
        # The gradients of this step are still there, those of masked weights too.
        gradients = {n: p.grad for n, p in model.named_parameters() if n in weights and p.grad is not None}
        masks = pruned_to(weights, self.masks, self.sparsity(update), scope=self._regime.scope)
        rate = self._regime.regrow * 0.5 * (1 + math.cos(math.pi * progress))
        self.masks = regenerated(weights, gradients, masks, rate=rate)

    def _record(self, model: nn.Module, update: int) -> None:
        self.rounds.append(weight_round(model, self.masks, self._setting.example, number=update))
