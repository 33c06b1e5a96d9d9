"""Borrowing a network and giving it back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruners.trace import evaluating


@contextmanager
def cumulative_batch_norms(model: nn.Module) -> Iterator[bool]:
    """Inside, batch norms alone are in train mode, start anew and weigh every batch equally; True if there are any."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None
                norm.train()
            yield bool(norms)
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum


@contextmanager
def seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Inside, torch's global random state (dropout) follows from `generator`; afterwards it is as before."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(torch.randint(0, 2**62, (1,), generator=generator)))
        yield


def logits_of(output: object) -> Tensor:
    """The logits (B, classes) of a network's output; of networks with extra heads, the first.

    Raises:
        TypeError: the output holds no tensor where one is expected.
    """
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"a network must return its logits as a tensor, returned {type(output).__name__}")
    return output
