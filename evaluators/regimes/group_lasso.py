"""Group lasso over channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from evaluators.owned import Owned, norms
from evaluators.regime import Setting
from evaluators.registries import REGIMES
from evaluators.train import TrainingHook
from spaces import Categorical, ChannelGroup, Domain, Float, Slice

Sides = Literal["producer", "both"]


@REGIMES.register("group_lasso", paper="arXiv:1608.03665")
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLasso:
    """Group lasso: `strength` times the sum of Euclidean norms of all that computes a channel is added to the loss.

    Source: Wen et al., Structured Sparsity Learning, arXiv:1608.03665, equations 1 and 3, the filter-wise term. One
    norm runs over all coupled layers, so that they shrink together; `both` adds what reads the channel to the same norm
    (the paper has a norm of its own for it).
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "strength": Float(low=1e-6, high=1e-1, log=True),
        "sides": Categorical(choices=("producer", "both")),
    }
    granularity: ClassVar[Literal["channels", "weights"]] = "channels"
    reads: ClassVar[str] = "l2"
    fidelity: ClassVar[str] = "the filter-wise term; coupled layers share one norm"

    strength: float = 1e-4
    sides: Sides = "producer"

    def hooks(self, model: nn.Module, setting: Setting) -> tuple[TrainingHook, ...]:
        return (_GroupNorms(model, setting, strength=self.strength, sides=self.sides),)


class _GroupNorms:
    def __init__(self, model: nn.Module, setting: Setting, *, strength: float, sides: Sides) -> None:
        self._pieces = [(group, _pieces(group, sides)) for group in setting.groups]
        self._owned = Owned(model, setting.groups)
        self._strength = strength

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        sums = [norms(self._owned.squared_norms(group, pieces)).sum() for group, pieces in self._pieces]
        return self._strength * torch.stack(sums).sum() if sums else None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Nothing: the penalty is all."""


def _pieces(group: ChannelGroup, sides: Sides) -> tuple[Slice, ...]:
    producers = group.with_role("producer")
    return producers + group.with_role("consumer") if sides == "both" else producers
