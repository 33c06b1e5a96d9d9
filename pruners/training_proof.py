"""Whether a cut network still runs in train mode, in which other code may run: an auxiliary head, a mask."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners.narrowing import ERRORS, broken, narrowed
from pruners.shares import uneven
from pruners.slim import slim
from spaces import ChannelGroup


def breaking_in_training(model: nn.Module, groups: Sequence[ChannelGroup], example: tuple[Any, ...]) -> dict[str, str]:
    """Groups whose cut raises an error in train mode on a batch of two, each with the error.

    A network that itself can't be run so, such as a detector that wants targets, tells nothing.
    """
    inputs = tuple(_twice(value) for value in example)
    if not groups or _error_in_training(model, (), inputs) is not None:
        return {}
    found: dict[str, str] = {}
    rest = list(groups)
    while rest and (problem := _error_in_training(model, rest, inputs)) is not None:
        wrong, problem = narrowed(lambda part: _error_in_training(model, part, inputs), rest, problem)
        found |= {group.name: problem for group in wrong}
        rest = [group for group in rest if group.name not in found]
    return found


def _error_in_training(model: nn.Module, groups: Sequence[ChannelGroup], inputs: tuple[Any, ...]) -> str | None:
    small = slim(model, groups, uneven(groups)).train()
    devices = {tensor.device.index for tensor in small.parameters() if tensor.is_cuda}
    with torch.no_grad(), torch.random.fork_rng(devices=[index for index in devices if index is not None]):
        try:
            small(*inputs)
        except ERRORS as error:
            return broken(error, " in train mode")
    return None


def _twice(value: Any) -> Any:
    """A batch of two of a batch of one."""
    if isinstance(value, Tensor) and value.dim() > 1 and len(value) == 1:
        return torch.cat([value, value])
    return type(value)(_twice(item) for item in value) if isinstance(value, list | tuple) else value
