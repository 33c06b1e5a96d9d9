"""How long networks take, measured side by side so that a busy machine slows all alike."""

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

WARM_UPS = 3
"""Passes before any is timed: the first ones allocate memory and choose algorithms."""
KEPT_BYTES = 31 * 2**20
"""The C library's limit for keeping freed memory can be raised to a little more than this, and no further."""
BLOCK_SECONDS = 1e-3
"""Calls that take less are timed in blocks of about this length."""
UNDISTURBED = 0.1
"""Quantile of repeats that a table is made of: other programs on the machine only ever add time, often to most."""


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
    times = pass_times(models, batch, seconds=seconds, min_runs=min_runs, max_runs=max_runs)
    return {
        name: Latency(batch_size=len(batch), milliseconds=median(values), num_runs=len(values))
        for name, values in times.items()
    }


def pass_times(
    models: Mapping[str, Callable[[Tensor], object]], batch: Tensor, *, seconds: float, min_runs: int, max_runs: int
) -> dict[str, list[float]]:
    """Milliseconds of every timed pass of each network, or way to run one; arguments as in `measure_latency`."""
    keep_freed_memory()
    times: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for _ in range(WARM_UPS):
            for model in models.values():
                _timed(model, batch)
        started = time.perf_counter()
        for run in range(max_runs):
            if run >= min_runs and time.perf_counter() - started > seconds:
                break
            for name, model in models.items():
                times[name].append(1000 * _timed(model, batch))
    return times


def milliseconds_of(call: Callable[[], object], device: torch.device, *, repeats: int = 15) -> float:
    """Undisturbed time of one call among calls of its kind: `repeats` blocks of calls are timed."""
    keep_freed_memory()
    for _ in range(WARM_UPS):
        once = _block(call, device, count=1)
    count = min(100, math.ceil(BLOCK_SECONDS / once))
    return 1000 * undisturbed([_block(call, device, count=count) for _ in range(repeats)])


def undisturbed(times: Sequence[float]) -> float:
    """What the repeats say of an idle machine."""
    return float(np.quantile(times, UNDISTURBED))


@cache
def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next tensor, in this process from now on.

    glibc otherwise returns blocks to the kernel, or not, by what was freed before, and then every page of every
    activation is faulted in anew: a depthwise convolution of 144 x 56 x 56 took 2.95 ms instead of 0.27. Freeing one
    large block raises its limits.
    """
    torch.empty(KEPT_BYTES, dtype=torch.uint8)


def plain_layout(images: Tensor) -> Tensor:
    """The images as most programs hold them, channel after channel: layouts differ in time by a third and more."""
    return images.contiguous()


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's name, as far as the platform tells."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _block(call: Callable[[], object], device: torch.device, *, count: int) -> float:
    """Seconds of one of `count` calls in a row."""
    _wait(device)
    started = time.perf_counter()
    for _ in range(count):
        call()
    _wait(device)
    return (time.perf_counter() - started) / count


def _timed(model: Callable[[Tensor], object], batch: Tensor) -> float:
    return _block(lambda: model(batch), batch.device, count=1)


def _wait(device: torch.device) -> None:
    """A GPU's work goes on after the call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
