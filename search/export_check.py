"""Each written file is loaded again and compared before it counts."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from evaluators.artifact import load_slim
from evaluators.modes import logits_of
from pruners import count_macs
from search.export_formats import Exported, ExportError, Format
from search.report import FileCheck
from spaces import ParetopruneError

TOLERANCE = 1e-4
"""Largest difference of a logit that counts as the same network, as a share of the largest logit."""


def write_format(format: Format, exported: Exported, folder: Path) -> None:
    """Write one format.

    Raises:
        ExportError: the format can't hold this network.
    """
    try:
        format.write(exported, folder)
    except Exception as error:  # torch's exporters raise whatever their stages raise.
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        rule = f"this network can't be written as {format.name}: {first}"
        raise ExportError(f"{rule}; leave {format.name} out of --format to export the others") from error


def check_rebuilds(folder: Path) -> None:
    """See that the weights can be loaded at all, in milliseconds; `check_format` compares what they compute.

    Raises:
        ExportError: they can't.
    """
    try:
        load_slim(folder)
    except ParetopruneError as error:
        raise ExportError(f"this network can't be built again from its files: {error.__cause__ or error}") from error


def check_format(format: Format, exported: Exported, folder: Path, *, probes: Sequence[Tensor]) -> FileCheck:
    """Load one format again and compare it with the network it was written from.

    Args:
        format: what was written.
        exported: the network.
        folder: where it lies.
        probes: batches (B, C, H, W) of at least two sizes.

    Raises:
        ExportError: it can't be loaded, or gives other logits or other MACs.
    """
    reading = format.read(folder, probes)
    difference = max(
        _difference(logits, reference)
        for logits, reference in zip(reading.logits, _logits(exported, probes), strict=True)
    )
    name = format.files[0]
    if not difference <= TOLERANCE:  # NaN is no agreement either
        rule = f"differ by {difference:.1e} of the largest one, more than {TOLERANCE:.0e}"
        raise ExportError(f"{name} disagrees with the network that was measured: its logits {rule}")
    macs = count_macs(exported.model, exported.example[:1])
    if reading.macs != macs:
        raise ExportError(f"{name} disagrees with the network that was measured: {reading.macs:,} MACs, not {macs:,}")
    return FileCheck(
        format=format.name,
        files=format.files,
        size_bytes=sum((folder / file).stat().st_size for file in format.files),
        sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        difference=difference,
        macs=reading.macs,
        batch_sizes=tuple(len(probe) for probe in probes),
    )


def _logits(exported: Exported, probes: Sequence[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return [logits_of(exported.model(probe)) for probe in probes]


def _difference(logits: Tensor, reference: Tensor) -> float:
    """As a share of the largest reference logit; infinite where the shapes differ."""
    if logits.shape != reference.shape:
        return float("inf")
    scale = reference.abs().max().clamp(min=torch.finfo(reference.dtype).tiny)
    return float((logits - reference).abs().max() / scale)
