"""Weights from files of every kind, and one line for everything that can be wrong with them."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from evaluators.build import build_model, create_model
from evaluators.specs import ModelSpec
from spaces import UserError

State = dict[str, torch.Tensor]
SPEC = ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 4})


@pytest.fixture
def state() -> State:
    """Weights that a fresh network does not have."""
    return create_model(SPEC, num_classes=10, in_channels=1, seed=7).state_dict()


def load(path: Path, *, num_classes: int = 10, name: str = SPEC.name, **params: object) -> nn.Module:
    spec = ModelSpec(name=name, params={**SPEC.params, **params} if name == SPEC.name else params, weights=str(path))
    return build_model(spec, num_classes=num_classes, in_channels=1)


def holds(model: nn.Module, state: State) -> bool:
    return all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "best_prec1": 92.1, "epoch": 3},
    "model": lambda s: {"model": s, "args": {"lr": 0.1}},
    "nested": lambda s: {"state": 1, "model": {"state_dict": s}},
    "data parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "compiled and parallel": lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}},
    "lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "pytorch-lightning_version": "2"},
    "without counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_every_usual_file_of_torch_is_understood(wrapping: str, state: State, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[wrapping](state), tmp_path / "weights.pt")
    assert holds(load(tmp_path / "weights.pt"), state)


def test_safetensors_are_understood(state: State, tmp_path: Path) -> None:
    save_file({f"module.{key}": value for key, value in state.items()}, tmp_path / "weights.safetensors")
    assert holds(load(tmp_path / "weights.safetensors"), state)


def test_half_precision_becomes_the_networks(state: State, tmp_path: Path) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(half, tmp_path / "weights.safetensors")
    model = load(tmp_path / "weights.safetensors")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert holds(model, {key: value.to(state[key].dtype) for key, value in half.items()})


class Payload:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda data, path: path.write_bytes(pickle.dumps(data))])
def test_nothing_is_ever_unpickled(save: Callable[[Any, Path], None], state: State, tmp_path: Path) -> None:
    save({**state, "extra": Payload(tmp_path / "trace")}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="never unpickles"):
        load(tmp_path / "weights.pt")
    assert not (tmp_path / "trace").exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(create_model(SPEC, num_classes=10, in_channels=1), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"save model\.state_dict\(\)"):
        load(tmp_path / "weights.pth")


def damaged(path: Path, state: State) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-500])


BROKEN: dict[str, Callable[[Path, State], object]] = {
    "empty.pt": lambda path, state: path.write_bytes(b""),
    "text.pt": lambda path, state: path.write_text("not weights"),
    "cut.pt": damaged,
    "empty.safetensors": lambda path, state: path.write_bytes(b""),
    "text.safetensors": lambda path, state: path.write_text("not weights, and longer than eight bytes"),
    "renamed.safetensors": lambda path, state: torch.save(state, path),
    "list.pt": lambda path, state: torch.save([1, 2], path),
    "numbers.pt": lambda path, state: torch.save({"a": 1, "b": 2}, path),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_files_are_named_in_one_line(name: str, state: State, tmp_path: Path) -> None:
    BROKEN[name](tmp_path / name, state)
    with pytest.raises(UserError, match=r"^model\.weights = '.*" + name) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        load(tmp_path / "weights.pt")


def rename(state: State, old: str, new: str) -> State:
    return {key.replace(old, new): value for key, value in state.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: rename(s, "linear", "fc"),
            r"lacks 'linear\.weight' \(2 missing, 2 unexpected\)",
        ),
        (
            lambda s: rename(s, "layer1.0.conv1", "layer1.0.convl"),
            r"lacks 'layer1\.0\.conv1\.weight' .*; the file has 'layer1\.0\.convl\.weight'",
        ),
        (
            lambda s: {**s, "layer3.0.conv3.weight": torch.zeros(1)},
            r"has 'layer3\.0\.conv3\.weight', which .* has not \(1 unexpected\); the network has 'layer3\.0\.conv",
        ),
        (
            lambda s: {**s, "conv1.weight": torch.zeros(4, 3, 3, 3)},
            r"'conv1\.weight' is \(4, 3, 3, 3\), the network has \(4, 1, 3, 3\) \(1 of other shape\)",
        ),
    ],
)
def test_the_first_difference_is_named(
    change: Callable[[State], State], message: str, state: State, tmp_path: Path
) -> None:
    torch.save(change(state), tmp_path / "weights.pt")
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path / "weights.pt")
    assert "\n" not in str(caught.value)


def test_another_number_of_classes_is_told_from_another_network(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"is for 10 classes, the data has 100"):
        load(tmp_path / "weights.pt", num_classes=100)
    with pytest.raises(UserError, match=r"of other shape"):
        load(tmp_path / "weights.pt", width=6)


def test_auxiliary_heads_of_torchvision_are_left_out(tmp_path: Path) -> None:
    from torchvision.models import googlenet

    official = googlenet(num_classes=4, aux_logits=True, init_weights=False)
    torch.save(official.state_dict(), tmp_path / "weights.pth")
    spec = ModelSpec(name="googlenet", weights=str(tmp_path / "weights.pth"))
    model = build_model(spec, num_classes=4, in_channels=3)
    official.aux1 = official.aux2 = None
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x), official.eval()(x))
