"""Two independent counters on a built network: PyTorch's and thop's."""

import contextlib
import copy
import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pruners.trace import attention_as_operators, evaluating


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the counters say of one network, for the example's batch.

    Attributes:
        macs: FlopCounterMode / 2: convolutions, matrix products and attention; one multiply-add is one MAC.
        params: elements of all parameters, shared ones once.
        thop_macs: thop.profile's first figure; it adds batch norms and adaptive pooling and misses functional calls.
        thop_params: its second.
    """

    macs: int
    params: int
    thop_macs: int
    thop_params: int


def count_macs(model: nn.Module, example_input: Any) -> int:
    """MACs by FlopCounterMode; the network is left as it was."""
    arguments = example_input if isinstance(example_input, tuple) else (example_input,)
    with evaluating(model), torch.no_grad(), attention_as_operators(), FlopCounterMode(display=False) as counter:
        model(*arguments)
    return int(counter.get_total_flops()) // 2


def count(model: nn.Module, example_input: Any) -> Counts:
    """Both counters' figures; thop runs on a copy, since it leaves buffers behind and flips frozen batch norms."""
    import thop

    arguments = example_input if isinstance(example_input, tuple) else (example_input,)
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        thop_macs, thop_params = thop.profile(copy.deepcopy(model).eval(), arguments, verbose=False)
    return Counts(
        macs=count_macs(model, example_input),
        params=sum(parameter.numel() for parameter in model.parameters()),
        thop_macs=int(thop_macs),
        thop_params=int(thop_params),
    )
