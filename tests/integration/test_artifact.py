"""A pruned network survives the disk, and is rebuilt by torch alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from evaluators.artifact import Preprocessing, load_slim, read_architecture, save_slim
from evaluators.build import create_model
from evaluators.specs import ModelSpec
from pruners import Plan, analyse, count, slim
from spaces import UserError

CASES = {
    "digits_resnet": (1, 8),
    "resnet20": (3, 32),
    "cifar_vgg16_bn": (3, 32),
    "torchvision:mobilenet_v2": (3, 32),
    f"{__name__}:tied": (3, 8),
}


class Tied(nn.Module):
    """One convolution used under two names, and a tensor that is neither parameter nor buffer."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, padding=1)
        self.second = nn.Conv2d(12, 12, 3, padding=1)
        self.third = self.second
        self.linear = nn.Linear(12, num_classes)
        self.scale = torch.tensor(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.third(self.second(self.first(x).relu()).relu())
        return self.linear(x.mean((2, 3))) * self.scale  # type: ignore[no-any-return]


def tied(*, num_classes: int) -> nn.Module:
    return Tied(num_classes)


def pruned(spec: ModelSpec, example: torch.Tensor) -> nn.Module:
    """A third of every group is gone; batch norms have seen something."""
    model = create_model(spec, num_classes=7, in_channels=example.shape[1], seed=3)
    groups = analyse(model, example[:1]).groups
    plan = Plan.of({g.name: range(-(-2 * g.width // (3 * g.multiple_of)) * g.multiple_of) for g in groups})
    small = slim(model, groups, plan).train()
    with torch.no_grad():
        small(example)
    return small.eval()


@pytest.fixture(params=CASES)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[nn.Module, torch.Tensor, Path]:
    channels, size = CASES[request.param]
    example = torch.randn(4, channels, size, size, generator=torch.Generator().manual_seed(0))
    spec = ModelSpec(name=request.param)
    model = pruned(spec, example)
    save_slim(tmp_path / "out", model, spec, num_classes=7, example=example)
    return model, example, tmp_path / "out"


def test_the_same_logits_and_the_same_cost_come_back(saved: tuple[nn.Module, torch.Tensor, Path]) -> None:
    model, example, folder = saved
    state = torch.random.get_rng_state()
    loaded = load_slim(folder)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(example), model(example))
    assert count(loaded, example[:1]) == count(model, example[:1])
    loaded.train()
    nn.functional.cross_entropy(loaded(example), torch.arange(4)).backward()  # it can be trained on


def test_every_layer_says_its_own_width(saved: tuple[nn.Module, torch.Tensor, Path]) -> None:
    for module in load_slim(saved[2]).modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.shape[:2] == (module.out_channels, module.in_channels // module.groups)
        if isinstance(module, nn.BatchNorm2d):
            assert module.num_features == len(module.running_mean)  # type: ignore[arg-type]


def test_it_loads_without_anything_but_torch(tmp_path: Path) -> None:
    spec, example = ModelSpec(name="digits_resnet"), torch.randn(4, 1, 8, 8)
    model = pruned(spec, example)
    save_slim(tmp_path, model, spec, num_classes=7, example=example)
    save_file({"x": example, "y": model(example).detach()}, tmp_path / "check.safetensors")
    blocked = (
        "ray optuna mlflow sklearn scipy pandas pydantic typer rich thop yaml torchvision PIL onnx plotly matplotlib"
    )
    script = f"""
import sys
sys.modules.update(dict.fromkeys({blocked.split()!r}))
import torch
from safetensors.torch import load_file
from evaluators import load_slim
check = load_file({str(tmp_path / "check.safetensors")!r})
assert torch.equal(load_slim({str(tmp_path)!r})(check["x"]), check["y"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_half_precision_and_preprocessing_are_kept(tmp_path: Path) -> None:
    spec, example = ModelSpec(name="digits_resnet"), torch.randn(2, 1, 8, 8)
    model = pruned(spec, example).bfloat16()
    meaning = Preprocessing(mean=(0.3,), std=(0.4,), class_names=tuple("0123456"))
    save_slim(tmp_path, model, spec, num_classes=7, example=example, preprocessing=meaning)
    loaded = load_slim(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert torch.equal(loaded(example.bfloat16()), model(example.bfloat16()))
    facts = read_architecture(tmp_path)
    assert facts["preprocessing"] == {"mean": [0.3], "std": [0.4], "class_names": list("0123456")}
    assert (facts["input_size"], facts["in_channels"], facts["num_classes"]) == ([8, 8], 1, 7)


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "architecture.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _drop(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("linear.bias")
    save_file(tensors, folder / "model.safetensors")


DAMAGE: dict[str, Callable[[Path], object]] = {
    r"has no readable architecture\.json": lambda f: (f / "architecture.json").unlink(),
    r"architecture\.json is damaged": lambda f: (f / "architecture.json").write_text("{"),
    r"must be of format 'paretoprune/1', is 'paretoprune/9'": lambda f: _edit(f, format="paretoprune/9"),
    r"has no readable model\.safetensors": lambda f: (f / "model.safetensors").write_bytes(b"short"),
    r"are not of one network": _drop,
    r"is not of the network that 'resnet20' builds here": lambda f: _edit(f, model={"name": "resnet20", "params": {}}),
    r"unknown model": lambda f: _edit(f, model={"name": "digits_resnot", "params": {}}),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_damaged_folders_are_named_in_one_line(message: str, tmp_path: Path) -> None:
    spec, example = ModelSpec(name="digits_resnet"), torch.randn(2, 1, 8, 8)
    save_slim(tmp_path, pruned(spec, example), spec, num_classes=7, example=example)
    DAMAGE[message](tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load_slim(tmp_path)
    assert "\n" not in str(caught.value)
