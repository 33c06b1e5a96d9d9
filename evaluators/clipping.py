"""Trainings whose gradients are clipped."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook


@contextmanager
def clipped_gradients(model: nn.Module, max_norm: float) -> Iterator[None]:
    """Before every optimiser step on `model`, scale its gradients so that their joint norm is at most `max_norm`.

    0 leaves them. Optimisers of other networks are left alone.
    """
    if max_norm == 0:
        yield
        return
    parameters = list(model.parameters())
    own = {id(parameter) for parameter in parameters}

    def clip(optimiser: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if any(id(parameter) in own for group in optimiser.param_groups for parameter in group["params"]):
            nn.utils.clip_grad_norm_(parameters, max_norm)

    handle = register_optimizer_step_pre_hook(clip)
    try:
        yield
    finally:
        handle.remove()
