"""Tasks: devices, examples, and a user's own network and data, from names to an evaluation."""

from pathlib import Path

import pytest
import torch
from torch import nn

from evaluators.base import train_base
from evaluators.partition import halves, stratified, without
from evaluators.recipe import Recipe
from evaluators.score import accuracy
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits, load_test, resolve_device
from spaces import UserError

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def make(name: str, **params: object) -> Task:
    spec = TaskSpec(model=ModelSpec(name=name, params=params), data=DataSpec(name="digits"), device="cpu")
    return Task(spec, load_splits(spec))


def test_the_example_of_ones_own_network_and_data_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(EXAMPLES)
    spec = TaskSpec(
        model=ModelSpec(name="own_model_and_data:build_model", params={"width": 4}),
        data=DataSpec(name="own_model_and_data:load_data", params={"num_search": 120}),
        device="cpu",
    )
    splits = load_splits(spec)
    assert splits.class_names == ("horizontal", "vertical", "diagonal")
    spec = train_base(spec, splits, recipe=Recipe(epochs=4, batch_size=32, lr=0.1), folder=tmp_path)
    task = Task(spec, splits)
    assert accuracy(task.dense_model(), task.search).accuracy > 0.8
    assert len(load_test(spec)) == 300


def test_the_example_input_is_normalised() -> None:
    task = make("digits_resnet")
    assert task.example.shape == (1, 1, 8, 8)
    assert task.example.dtype == torch.float32
    assert -0.305 / 0.376 - 1e-4 <= float(task.example.min()) < 0 < float(task.example.max())


def test_batches_for_evidence_are_plain_and_repeatable() -> None:
    task = make("digits_resnet")
    first, again = (
        list(task.batches(100, batch_size=40, generator=torch.Generator().manual_seed(1))) for _ in range(2)
    )
    assert [len(labels) for _, labels in first] == [34, 33, 33]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


def two_columns(*, num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def for_large_images(*, num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, num_classes))


def not_a_tensor(*, num_classes: int) -> nn.Module:
    class Strange(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": x}

    return Strange()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two_columns", r"must return \(1, 10\) logits for one image, returned \(1, 2\)"),
        ("for_large_images", r"fails on images of \(1, 8, 8\)"),
        ("not_a_tensor", r"must return its logits as a tensor, returned dict"),
    ],
)
def test_networks_that_do_not_fit_the_data_are_named(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make(f"{__name__}:{name}").dense_model()
    assert "\n" not in str(caught.value)


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UserError, match="unknown device"):
        resolve_device("quantum")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(UserError, match="no CUDA device"):
        resolve_device("cuda")


@pytest.mark.parametrize("count", [1, 7, 50, 99, 100, 500])
def test_stratified_takes_each_class_in_proportion(count: int) -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    chosen = stratified(labels, count)
    assert len(chosen.unique()) == len(chosen) == min(count, 100)
    share = torch.tensor([0.5, 0.3, 0.2]) * min(count, 100)
    assert (labels[chosen].bincount(minlength=3) - share).abs().max() <= 1
    assert torch.equal(chosen, chosen.sort().values)
    assert torch.equal(torch.cat([chosen, without(100, chosen)]).sort().values, torch.arange(100))


def test_halves_go_by_class_and_order() -> None:
    first, second = halves(torch.tensor([1, 0, 1, 0, 1, 0, 0]))
    assert first.tolist() == [0, 1, 3]
    assert second.tolist() == [2, 4, 5, 6]
