"""Which number format a device computes candidates in: a probe decides once, before the search."""

import time
from typing import Literal

import torch
from torch import Tensor, nn

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
    seconds: dict[Precision, list[float]] = {"float32": [], "bfloat16": []}
    with evaluating(model), torch.inference_mode():
        for _ in range(REPEATS + 1):  # side by side, so that a busy moment hits both
            for precision, found in seconds.items():
                found.append(_timed(model, images, precision))
    # the first of each is a warm-up, the fastest the least disturbed
    gain = min(seconds["float32"][1:]) / min(seconds["bfloat16"][1:])
    return "bfloat16" if gain >= GAIN else "float32"


def _timed(model: nn.Module, images: Tensor, precision: Precision) -> float:
    started = time.perf_counter()
    with autocast(images.device, precision):
        model(images)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
