"""Writing a network in each format, and reading each file back to see that it is the same network."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils.flop_counter import FlopCounterMode

from evaluators.artifact import Preprocessing, save_slim
from evaluators.modes import logits_of
from evaluators.specs import ModelSpec
from search.onnx_macs import onnx_macs
from spaces import ParetopruneError

LARGEST_BATCH = 65536


class ExportError(ParetopruneError):
    """A network that a format can't hold, or a file that is not the network it was written from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A finished network on the processor, in evaluation mode.

    Attributes:
        model: to be written.
        spec: what its dense network is built from.
        example: (2, C, H, W), normalised; two images, because a batch of one is taken for a constant.
        preprocessing: how images become its inputs; one class name per logit.
    """

    model: nn.Module
    spec: ModelSpec
    example: Tensor
    preprocessing: Preprocessing

    def program(self) -> ExportedProgram:
        """The network as a graph of torch.export, for any batch size."""
        shapes = ({0: Dim("batch", min=1, max=LARGEST_BATCH)},)
        return torch.export.export(self.model, (self.example,), dynamic_shapes=shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a file gives when it is loaded again: logits (B, classes) of each probe, and MACs of one image."""

    logits: tuple[Tensor, ...]
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write a network.

    Attributes:
        files: names in the export's folder.
        write: puts them there.
        read: loads them from there and runs the probes, batches (B, C, H, W) of several sizes.
    """

    name: str
    files: tuple[str, ...]
    write: Callable[[Exported, Path], None]
    read: Callable[[Path, Sequence[Tensor]], Reading]


def _write_safetensors(exported: Exported, folder: Path) -> None:
    save_slim(
        folder,
        exported.model,
        exported.spec,
        num_classes=len(exported.preprocessing.class_names),
        example=exported.example,
        preprocessing=exported.preprocessing,
    )


def _read_safetensors(folder: Path, probes: Sequence[Tensor]) -> Reading:
    """In a process of its own that has imported nothing but what a user of the file imports."""
    script = Path(__file__).with_name("reload_slim.py")
    inputs, outputs = folder / ".probes.safetensors", folder / ".logits.safetensors"
    save_file({str(index): probe.contiguous() for index, probe in enumerate(probes)}, inputs)
    # The user's own model function is found where this process finds it.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-P", str(script), str(folder), str(inputs), str(outputs)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = next(iter(done.stderr.strip().splitlines()[::-1]), f"exit code {done.returncode}")
            raise ExportError(f"model.safetensors can't be loaded again: {last}")
        logits = load_file(outputs)
    finally:
        inputs.unlink(missing_ok=True)
        outputs.unlink(missing_ok=True)
    macs = int(json.loads(done.stdout.splitlines()[-1])["macs"])
    return Reading(logits=tuple(logits[str(index)] for index in range(len(probes))), macs=macs)


def _write_pt2(exported: Exported, folder: Path) -> None:
    torch.export.save(exported.program(), folder / "model.pt2")


def _read_pt2(folder: Path, probes: Sequence[Tensor]) -> Reading:
    model = torch.export.load(folder / "model.pt2").module()
    with torch.no_grad():
        logits = tuple(logits_of(model(probe)) for probe in probes)
        with FlopCounterMode(display=False) as counter:
            model(probes[0][:1])
    return Reading(logits=logits, macs=int(counter.get_total_flops()) // 2)


def _write_onnx(exported: Exported, folder: Path) -> None:
    torch.onnx.export(
        exported.program(),
        (),
        folder / "model.onnx",
        input_names=["images"],
        output_names=["logits"],
        dynamo=True,
        external_data=False,  # else the weights go into a second file
        verbose=False,
    )


def _read_onnx(folder: Path, probes: Sequence[Tensor]) -> Reading:
    import onnxruntime

    path = folder / "model.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits = tuple(torch.from_numpy(session.run(None, {"images": probe.numpy()})[0]) for probe in probes)
    try:
        return Reading(logits=logits, macs=onnx_macs(path))
    except ValueError as error:
        raise ExportError(f"model.onnx can't be checked: {error}; leave onnx out of --format") from error


FORMATS = {
    format.name: format
    for format in (
        Format(
            name="safetensors",
            files=("model.safetensors", "architecture.json"),
            write=_write_safetensors,
            read=_read_safetensors,
        ),
        Format(name="pt2", files=("model.pt2",), write=_write_pt2, read=_read_pt2),
        Format(name="onnx", files=("model.onnx",), write=_write_onnx, read=_read_onnx),
    )
}
