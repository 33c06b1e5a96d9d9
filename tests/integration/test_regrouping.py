"""Self-grouping with training, and candidates with the step, on a small network."""

import pytest
import torch

from evaluators.recipe import Recipe
from evaluators.regrouping import FilterLasso, RegroupSchedule, run_regroup
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from pruners import analyse, count_macs, gather_evidence, make_plan, slim
from pruners.grouped import GroupedLayer
from pruners.step_budget import channel_candidate, finish
from pruners.steps.regroup import Regroup
from spaces import Candidate, Choice, PlanError

SPEC = TaskSpec(
    model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 8}),
    data=DataSpec(name="digits", params={"num_train": 400, "num_search": 200}),
    device="cpu",
)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(SPEC, load_splits(SPEC))


@pytest.mark.parametrize(("step_epochs", "final_epochs"), [(4.0, 4.0), (0.0, 12.0)])
def test_local_and_global(task: Task, step_epochs: float, final_epochs: float) -> None:
    model = task.dense_model()
    dense_macs = count_macs(model, task.example)
    schedule = RegroupSchedule(percentages=(30, 60), step_epochs=step_epochs, final_epochs=final_epochs)
    network, rounds = run_regroup(
        model,
        task,
        step=Regroup(num_groups=4),
        schedule=schedule,
        recipe=Recipe(epochs=1, lr=0.05, batch_size=64),
        generator=torch.Generator().manual_seed(0),
    )
    assert [found.percentage for found in rounds] == [30, 60]
    assert rounds[0].connections > rounds[1].connections
    assert count_macs(network, task.example) < 0.5 * dense_macs
    assert any(isinstance(module, GroupedLayer) for module in network.modules())


def test_taylor_and_lasso(task: Task) -> None:
    network, rounds = run_regroup(
        task.dense_model(),
        task,
        step=Regroup(num_groups=4, importance="taylor", row_norm=True),
        schedule=RegroupSchedule(percentages=(60,), step_epochs=1.0, final_epochs=0.0, lasso=1e-3),
        recipe=Recipe(epochs=1, lr=0.05, batch_size=64),
        generator=torch.Generator().manual_seed(0),
    )
    assert rounds[0].connections > 0
    assert any(isinstance(module, GroupedLayer) for module in network.modules())


def test_lasso_is_the_sum_of_the_filters_norms() -> None:
    layer = torch.nn.Linear(2, 3, bias=False)
    layer.weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0], [5.0, 12.0]]))
    penalty = FilterLasso(layers=(layer,), strength=0.1).penalty(layer, 0)
    assert penalty is not None
    assert penalty.item() == pytest.approx(0.1 * (5 + 13))
    penalty.backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad[:2], 0.1 * torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    assert FilterLasso(layers=(layer,), strength=0.0).penalty(layer, 0) is None


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("params", [{}, {"equalise": True}, {"share": 0.9, "num_groups": 4}])
def test_candidates_meet_their_budget(task: Task, fraction: float, params: dict[str, float]) -> None:
    dense = task.dense_model()
    analysis = analyse(dense, task.example)
    evidence = gather_evidence(dense, analysis)
    candidate = Candidate(
        budget_macs=int(analysis.cost.dense_macs * fraction),
        allocator=Choice.of("uniform"),
        method=Choice.of("l1"),
        step=Choice.of("regroup", params),
    )
    plan = make_plan(channel_candidate(candidate, analysis.cost), analysis, evidence)
    small = slim(dense, analysis.groups, plan)
    network = finish(candidate, small, groups=analysis.groups, plan=plan, dense=dense, evidence=evidence)
    assert 0.9 * candidate.budget_macs < count_macs(network, task.example) <= candidate.budget_macs


def test_a_budget_out_of_reach(task: Task) -> None:
    dense = task.dense_model()
    analysis = analyse(dense, task.example)
    evidence = gather_evidence(dense, analysis)
    candidate = Candidate(
        budget_macs=analysis.cost.dense_macs // 200,
        allocator=Choice.of("uniform"),
        method=Choice.of("l1"),
        step=Choice.of("regroup", {"share": 0.9}),
    )
    plan = make_plan(channel_candidate(candidate, analysis.cost), analysis, evidence)
    small = slim(dense, analysis.groups, plan)
    with pytest.raises(PlanError, match="at best"):
        finish(candidate, small, groups=analysis.groups, plan=plan, dense=dense, evidence=evidence)
