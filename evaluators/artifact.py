"""A pruned network on disk: weights and shapes, rebuilt with torch alone.

`model.safetensors` holds every parameter and buffer, those that a state dict leaves out too; `architecture.json` says
which function builds the dense network and the shapes to bring it to. Nothing is pickled.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluators.build import create_model
from evaluators.specs import ModelSpec
from evaluators.task import Task
from pruners import resize
from pruners.structure import rebuild_structure, structure_of
from spaces import ParetopruneError, UserError

FORMAT = "paretoprune/1"
WEIGHTS, ARCHITECTURE = "model.safetensors", "architecture.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How images become the network's inputs, and what its outputs mean.

    Attributes:
        mean: per channel, of images scaled to [0, 1].
        std: likewise.
        class_names: in the order of the logits.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, task: Task) -> "Preprocessing":
        """That of a task."""
        return cls(mean=task.train.mean, std=task.train.std, class_names=task.class_names)


def save_slim(
    folder: str | Path,
    model: nn.Module,
    spec: ModelSpec,
    *,
    num_classes: int,
    example: Tensor,
    preprocessing: Preprocessing | None = None,
) -> None:
    """Write `model.safetensors` and `architecture.json` into `folder`, which is made where it is missing.

    Args:
        folder: for the two files.
        model: the pruned network; not changed.
        spec: what its dense network is built from; weights named there are not needed again.
        num_classes: of the data.
        example: normalised images (any number, C, H, W).
        preprocessing: written down for whoever uses the network.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dense = create_model(spec, num_classes=num_classes, in_channels=example.shape[1])
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in _named_tensors(model).items()}
    architecture = {
        "format": FORMAT,
        "model": {"name": spec.name, "params": dict(spec.params)},
        "num_classes": num_classes,
        "in_channels": example.shape[1],
        "input_size": list(example.shape[2:]),
        "dtype": _dtype_name(model),
        "structure": structure_of(model, dense),
        "tensors": {name: list(value.shape) for name, value in tensors.items()},
        "preprocessing": None if preprocessing is None else asdict(preprocessing),
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / ARCHITECTURE).write_text(json.dumps(architecture, indent=2) + "\n", encoding="utf-8")


def load_slim(folder: str | Path) -> nn.Module:
    """The network that `save_slim` wrote into `folder`, on the processor, in evaluation mode.

    Needs torch, numpy and safetensors, torchvision where the network is one of torchvision's, and the user's own module
    where it is built by a function of the user's.

    Raises:
        UserError: a file is missing, damaged, or they do not belong together.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    tensors = _read_tensors(folder / WEIGHTS)
    shapes = {name: tuple(shape) for name, shape in architecture["tensors"].items()}
    if shapes != {name: tuple(value.shape) for name, value in tensors.items()}:
        raise UserError("folder", str(folder), f"{WEIGHTS} and {ARCHITECTURE} are not of one network")
    # Built for real, not on the meta device: a factory may keep tensors that are neither parameters nor buffers.
    model = create_model(
        ModelSpec(**architecture["model"]),
        num_classes=architecture["num_classes"],
        in_channels=architecture["in_channels"],
    )
    model = model.to(getattr(torch, architecture["dtype"]))
    try:
        rebuild_structure(model, architecture.get("structure", {}))
        resize(model, shapes)
        _fill(model, tensors)
    except ParetopruneError as error:
        name = architecture["model"]["name"]
        raise UserError("folder", str(folder), f"is not of the network that {name!r} builds here: {error}") from error
    return model.eval()


def read_architecture(folder: str | Path) -> dict[str, Any]:
    """The contents of `architecture.json`.

    Raises:
        UserError: it is missing, damaged or of another format.
    """
    path = Path(folder) / ARCHITECTURE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("folder", str(folder), f"has no readable {ARCHITECTURE}") from error
    except ValueError as error:
        raise UserError("folder", str(folder), f"{ARCHITECTURE} is damaged: {error}") from error
    found = data.get("format") if isinstance(data, Mapping) else None
    if found != FORMAT:
        raise UserError("folder", str(folder), f"{ARCHITECTURE} must be of format {FORMAT!r}, is {found!r}")
    return dict(data)


def _named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, those that are shared once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _dtype_name(model: nn.Module) -> str:
    kinds = [value.dtype for value in model.parameters() if value.is_floating_point()]
    return str(kinds[0] if kinds else torch.float32).removeprefix("torch.")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        reason = next(iter(str(error).splitlines()), "")
        raise UserError("folder", str(path.parent), f"has no readable {WEIGHTS} ({reason})") from error


def _fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = _named_tensors(model)
    missing = sorted(set(own) - set(tensors))
    if missing:
        raise ParetopruneError(f"{missing[0]!r} is not in the file ({len(missing)} missing)")
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)
