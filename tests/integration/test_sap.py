"""Rounds of SAP on a network that really trains."""

from typing import Literal

import pytest
import torch

from evaluators.clipping import clipped_gradients
from evaluators.recipe import Recipe
from evaluators.sap import SapSettings, risen, run_sap
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from pruners import count_macs
from pruners.pq_index import PQRule

SPEC = TaskSpec(
    model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 6}),
    data=DataSpec(name="digits", params={"num_train": 400, "num_search": 200}),
    device="cpu",
)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(SPEC, load_splits(SPEC))


@pytest.mark.parametrize("rewind", ["none", "init"])
def test_rounds(task: Task, rewind: str) -> None:
    model = task.dense_model()
    settings = SapSettings(rule=PQRule(p=1, q=2, round_up=True), rounds=2, rewind=rewind)  # type: ignore[arg-type]
    recipe = Recipe(steps=60, lr=0.05, batch_size=64)
    result = run_sap(model, task, settings=settings, recipe=recipe, generator=torch.Generator().manual_seed(0))
    assert [found.number for found in result.rounds] == [0, 1, 2]
    dense, *_, last = result.rounds
    assert dense.remaining_weights == dense.num_weights
    assert dense.nonzero_macs == count_macs(model, task.example)
    assert last.remaining_weights < 0.6 * dense.num_weights
    assert last.nonzero_macs < 0.8 * dense.nonzero_macs
    assert last.score.accuracy > 0.5
    assert set(last.pqi) == set(last.gini) == set(result.masks.kept)
    assert 0 < last.global_gini < 1
    for name, mask in result.masks.kept.items():
        weight = dict(model.named_parameters())[name]
        assert weight[~mask].abs().sum() == 0
        assert weight[mask].abs().sum() > 0


@pytest.mark.parametrize("rank_on", ["last", "first"])
def test_the_baselines_remove_a_fixed_share(task: Task, rank_on: Literal["last", "first"]) -> None:
    settings = SapSettings(share=0.5, rank_on=rank_on, scope="global", rounds=2)
    recipe = Recipe(steps=5, lr=0.05, batch_size=64)
    generator = torch.Generator().manual_seed(0)
    result = run_sap(task.dense_model(), task, settings=settings, recipe=recipe, generator=generator)
    left = [found.remaining_weights for found in result.rounds]
    assert left == [left[0], left[0] - left[0] // 2, left[0] - left[0] // 2 - (left[0] - left[0] // 2) // 2]


def test_gradients_are_clipped_inside_and_only_there() -> None:
    model, other = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(1, 1, bias=False)

    def moved(network: torch.nn.Module, gradient: list[list[float]]) -> torch.Tensor:
        (weight,) = network.parameters()
        before = weight.detach().clone()
        weight.grad = torch.tensor(gradient)
        torch.optim.SGD([weight], lr=1.0).step()
        return before - weight.detach()

    with clipped_gradients(model, 1.0):
        torch.testing.assert_close(moved(model, [[3.0, 4.0]]), torch.tensor([[0.6, 0.8]]))
        torch.testing.assert_close(moved(model, [[0.3, 0.4]]), torch.tensor([[0.3, 0.4]]))
        torch.testing.assert_close(moved(other, [[5.0]]), torch.tensor([[5.0]]))
    torch.testing.assert_close(moved(model, [[3.0, 4.0]]), torch.tensor([[3.0, 4.0]]))
    with clipped_gradients(model, 0.0):
        torch.testing.assert_close(moved(model, [[3.0, 4.0]]), torch.tensor([[3.0, 4.0]]))


def test_a_rising_index_stops() -> None:
    assert not risen([0.3, 0.2, 0.3], 2)
    assert risen([0.3, 0.2, 0.3, 0.4], 2)
    assert not risen([0.1, 0.2], 2)
    assert not risen([0.1, 0.2, 0.3], 0)
