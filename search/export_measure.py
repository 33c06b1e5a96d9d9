"""Before and after: the figures of an export's report."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from evaluators.batches import Batches
from evaluators.split import Split
from evaluators.task import Task
from evaluators.train import accuracy
from pruners import count
from pruners.timing import Latency, device_name, measure_latency, plain_layout
from search.export_formats import FORMATS, Exported
from search.report import Measurement, PredictedLatency

LATENCY_BATCHES = {"cuda": (1, 256)}
PROCESSOR_BATCHES = (1, 32)
"""Batch sizes that latency is measured with: one image, and a batch that keeps the device busy."""


def measure(
    models: Mapping[str, nn.Module],
    task: Task,
    test: Split,
    *,
    written: Exported,
    predicted: Mapping[str, PredictedLatency] | None = None,
) -> dict[str, Measurement]:
    """Accuracy, cost, size and latency of each network.

    Args:
        models: by name; on the task's device, in evaluation mode.
        task: the data that latency is measured on.
        test: the test split, on the task's device.
        written: how the networks would be written, for their size; its own network is not looked at.
        predicted: what a latency table says of each; they are measured at its batch size too.
    """
    predicted = predicted or {}
    latency = _latency(models, task, {item.batch_size for item in predicted.values()})
    found = {}
    for name, model in models.items():
        score = accuracy(model, test)
        counts = count(model, task.example)
        found[name] = Measurement(
            accuracy=score.accuracy,
            loss=score.loss,
            macs=counts.macs,
            thop_macs=counts.thop_macs,
            params=counts.params,
            size_bytes=_weights_size(model, written),
            latency=latency[name],
            predicted_latency=predicted.get(name),
        )
    return found


def environment(device: torch.device) -> dict[str, Any]:
    """What the figures were measured with."""
    return {
        "paretoprune": _version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": device_name(device),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _latency(models: Mapping[str, nn.Module], task: Task, further: set[int]) -> dict[str, tuple[Latency, ...]]:
    wanted = {*LATENCY_BATCHES.get(task.device.type, PROCESSOR_BATCHES), *further}
    images, _ = Batches(task.search).plain(slice(0, max(wanted)))
    sizes = sorted({min(size, len(images)) for size in wanted})
    runs = [measure_latency(models, plain_layout(images[:size])) for size in sizes]
    return {name: tuple(run[name] for run in runs) for name in models}


def _weights_size(model: nn.Module, written: Exported) -> int:
    with TemporaryDirectory() as folder:
        same = Exported(model=model, spec=written.spec, example=written.example, preprocessing=written.preprocessing)
        FORMATS["safetensors"].write(same, Path(folder))
        return (Path(folder) / "model.safetensors").stat().st_size


def _version() -> str:
    """Of the installed distribution; a source tree on the path has none."""
    try:
        return metadata.version("paretoprune")
    except metadata.PackageNotFoundError:
        return "not installed"
