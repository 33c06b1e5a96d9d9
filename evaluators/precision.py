"""Which number format a device computes candidates in: a probe decides once, before the search."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from pruners.timing import pass_times
from pruners.trace import evaluating

Precision = Literal["float32", "bfloat16"]

GAIN = 1.2
"""bfloat16 must be so much faster; below it the exact format is worth more."""

REPEATS = 5


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Inside, convolutions and products compute in `precision`; weights and sums stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def probe(model: nn.Module, images: Tensor) -> Precision:
    """The faster format for `model` on a batch of images (B, C, H, W) that lie on its device."""

    def run(precision: Precision) -> Callable[[Tensor], object]:
        def forward(batch: Tensor) -> object:
            with autocast(batch.device, precision):
                return model(batch)

        return forward

    ways = {"float32": run("float32"), "bfloat16": run("bfloat16")}
    with evaluating(model):
        times = pass_times(ways, images, seconds=math.inf, min_runs=REPEATS, max_runs=REPEATS)
    # the fastest pass of each is the least disturbed
    return "bfloat16" if min(times["float32"]) >= GAIN * min(times["bfloat16"]) else "float32"
