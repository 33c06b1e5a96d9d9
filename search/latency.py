"""How long two networks take, measured side by side so that a busy machine slows both alike."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Median over `num_runs` forward passes of a batch.

    Attributes:
        batch_size: images per pass.
        milliseconds: per pass; lower is better.
        num_runs: passes that were timed.
    """

    batch_size: int
    milliseconds: float
    num_runs: int


def measure_latency(
    models: Mapping[str, nn.Module], batch: Tensor, *, seconds: float = 3.0, min_runs: int = 10, max_runs: int = 200
) -> dict[str, Latency]:
    """The latency of each network on the same batch; passes alternate between the networks.

    Args:
        models: in evaluation mode, on the batch's device.
        batch: (B, C, H, W).
        seconds: stop after about this long in all, once every network has run `min_runs` times.
        min_runs: timed passes per network at the least, however long they take.
        max_runs: and at the most.
    """
    times: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for _ in range(3):  # first passes allocate memory and choose algorithms
            for model in models.values():
                _timed(model, batch)
        started = time.perf_counter()
        for run in range(max_runs):
            if run >= min_runs and time.perf_counter() - started > seconds:
                break
            for name, model in models.items():
                times[name].append(_timed(model, batch))
    return {
        name: Latency(batch_size=len(batch), milliseconds=1000 * median(values), num_runs=len(values))
        for name, values in times.items()
    }


def _timed(model: nn.Module, batch: Tensor) -> float:
    """Seconds of one pass; a GPU is waited for, since its work goes on after the call returns."""
    _wait(batch.device)
    started = time.perf_counter()
    model(batch)
    _wait(batch.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
