"""Cuts with training between them."""

import pytest
import torch

from evaluators.recipe import Recipe
from evaluators.rounds import budget_of_round, prune_in_rounds
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from pruners import count_macs
from spaces import Candidate, Choice

SPEC = TaskSpec(
    model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 8}),
    data=DataSpec(name="digits", params={"num_train": 200, "num_search": 100}),
    device="cpu",
)


def test_budgets_fall_by_one_ratio() -> None:
    macs, budgets = 1000, []
    for left in (2, 1, 0):
        macs = budget_of_round(macs, 125, rounds_left=left)
        budgets.append(macs)
    assert budgets == [500, 250, 125]


@pytest.mark.parametrize(("allocator", "method"), [("sap", "rnf"), ("clr", "wsp_data")])
def test_rounds_end_at_the_budget(allocator: str, method: str) -> None:
    task = Task(SPEC, load_splits(SPEC))
    dense = task.dense_model()
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    dense_macs = count_macs(dense, task.example)
    candidate = Candidate(
        budget_macs=dense_macs // 3,
        allocator=Choice.of(allocator),
        method=Choice.of(method),
        offsets=(("layer1.0.conv1", 0.1),),
        rounds=3,
    )
    network, plans = prune_in_rounds(
        candidate, dense, task, recipe=Recipe(steps=4, lr=0.01), generator=torch.Generator().manual_seed(0)
    )
    assert len(plans) == 3
    assert 0.9 * candidate.budget_macs < count_macs(network, task.example) <= candidate.budget_macs
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())
