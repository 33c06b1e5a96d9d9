"""Weights from a file into a network. Nothing is ever unpickled: files of torch load with `weights_only`."""

import difflib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spaces import UserError

KEY = "model.weights"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
_COUNTER = "num_batches_tracked"
"""Of batch norms; files of early torch versions lack it, and nothing that is measured depends on it."""
_PREFIXES = ("module.", "model.", "net.")


def read_weights(path: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state dict saved by torch, by name, on the processor.

    Wrappers around the state dict (`{"state_dict": ...}`) are opened.

    Raises:
        UserError: the file is missing, damaged, or holds anything but tensors.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(KEY, path, "there is no such file")
    return _read_safetensors(file, path) if file.suffix == ".safetensors" else _read_torch(file, path)


def load_weights(model: nn.Module, path: str, *, num_classes: int, ignored_prefixes: tuple[str, ...] = ()) -> None:
    """Fill `model` with the weights of a file, converted to the model's number type.

    Args:
        model: changed in place.
        path: see `read_weights`.
        num_classes: of the data, to tell a classifier for other classes from another network.
        ignored_prefixes: tensors of the file with these beginnings are not for `model`.

    Raises:
        UserError: the file can't be read, or its tensors are not those of `model`: names the first that differs.
    """
    wanted = model.state_dict()
    found = _without_prefixes(read_weights(path), wanted)
    found = {name: value for name, value in found.items() if not name.startswith(ignored_prefixes or ("\0",))}
    _check_shapes(found, wanted, path=path, num_classes=num_classes)
    _check_names(found, wanted, path=path)
    model.load_state_dict(found, strict=False)  # checked above, all but the counters


def _read_safetensors(file: Path, path: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise UserError(KEY, path, f"is no readable .safetensors file ({_first_line(error)})") from error


def _read_torch(file: Path, path: str) -> dict[str, Tensor]:
    try:
        data = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        rule = "holds more than tensors, or is damaged; paretoprune never unpickles: save model.state_dict()"
        raise UserError(KEY, path, rule) from error
    except (KeyError, IndexError, AttributeError) as error:  # bytes taken for a pickle's; their text says nothing
        raise UserError(KEY, path, "is no readable file of torch.save") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(KEY, path, f"is no readable file of torch.save ({_first_line(error)})") from error
    return _unwrapped(data, path)


def _unwrapped(data: Any, path: str) -> dict[str, Tensor]:
    while isinstance(data, Mapping):
        if data and all(isinstance(value, Tensor) for value in data.values()):
            return {str(name): value for name, value in data.items()}
        inner = [data[name] for name in _WRAPPERS if isinstance(data.get(name), Mapping)]
        if not inner:
            break
        data = inner[0]
    content = f"keys {', '.join(map(str, list(data)[:3]))}" if isinstance(data, Mapping) else type(data).__name__
    raise UserError(KEY, path, f"must hold a state dict, alone or under {' / '.join(_WRAPPERS[:3])}; holds {content}")


def _without_prefixes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what torch.compile, DataParallel and trainers put before every name."""
    names = {name.replace("_orig_mod.", ""): value for name, value in found.items()}
    for prefix in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            if any(name.startswith(prefix) for name in wanted):
                break
            names = {name.removeprefix(prefix): value for name, value in names.items()}
    return names


def _check_names(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, path: str) -> None:
    missing = [name for name in wanted if name not in found and not name.endswith(_COUNTER)]
    unexpected = [name for name in found if name not in wanted and not name.endswith(_COUNTER)]
    if missing:
        rule = f"lacks {missing[0]!r} ({len(missing)} missing, {len(unexpected)} unexpected)"
        raise UserError(KEY, path, rule + _nearest(missing[0], unexpected, "the file has"))
    if unexpected:
        rule = f"has {unexpected[0]!r}, which the network has not ({len(unexpected)} unexpected)"
        raise UserError(KEY, path, rule + _nearest(unexpected[0], wanted, "the network has"))


def _check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, path: str, num_classes: int) -> None:
    wrong = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    if not wrong:
        return
    name = wrong[0]
    have, want = tuple(found[name].shape), tuple(wanted[name].shape)
    if all(_differs_in_classes(found[n], wanted[n], num_classes) for n in wrong):
        raise UserError(KEY, path, f"is for {have[0]} classes, the data has {num_classes} ({name!r} is {have})")
    raise UserError(KEY, path, f"{name!r} is {have}, the network has {want} ({len(wrong)} of other shape)")


def _differs_in_classes(found: Tensor, wanted: Tensor, num_classes: int) -> bool:
    same_rest = found.ndim == wanted.ndim > 0 and found.shape[1:] == wanted.shape[1:]
    return same_rest and wanted.shape[0] == num_classes


def _nearest(name: str, names: Any, intro: str) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; {intro} {near[0]!r}" if near else ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
