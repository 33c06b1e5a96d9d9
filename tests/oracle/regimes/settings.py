"""A training's setting made by hand."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from evaluators.regime import Setting
from evaluators.train import TrainingHook
from pruners import Plan
from spaces import ChannelGroup


def setting(
    groups: Sequence[ChannelGroup] = (), *, num_steps: int = 10, kept: Mapping[str, Sequence[int]] | None = None
) -> Setting:
    return Setting(
        groups=tuple(groups),
        num_steps=num_steps,
        plan=lambda _: Plan.of(kept or {}),
        example=torch.ones(1, 1, 4, 4),
    )


def gradients(model: nn.Module, hook: TrainingHook, *, step: int = 0) -> tuple[float, dict[str, Tensor]]:
    """The penalty and its gradient by parameter; zero where the penalty does not reach."""
    penalty = hook.penalty(model, step)
    assert penalty is not None
    named = dict(model.named_parameters())
    found = torch.autograd.grad(penalty, list(named.values()), allow_unused=True)
    return float(penalty.detach()), {
        name: torch.zeros_like(named[name]) if gradient is None else gradient
        for name, gradient in zip(named, found, strict=True)
    }
