"""Cuts with training between them."""

import pytest
import torch
from torch import nn

from evaluators.proxies.finetune import Finetune
from evaluators.proxies.recalibrate import Recalibrate
from evaluators.proxy import ProxySpec
from evaluators.recipe import Recipe
from evaluators.rounds import budget_of_round, prune_in_rounds, share_of
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from evaluators.train import finetune
from evaluators.worker import Evaluator
from pruners import analyse, count_macs, gather_evidence
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


@pytest.mark.parametrize(
    ("allocator", "method", "step"),
    [
        ("sap", "rnf", None),
        ("clr", "wsp_data", "merge"),
        ("uniform", "l2", "regroup"),
        ("uniform", "l1", "remove_blocks"),
        ("wsp", "l2", "sketch"),
    ],
)
def test_rounds_end_at_the_budget(allocator: str, method: str, step: str | None) -> None:
    task = Task(SPEC, load_splits(SPEC))
    dense = task.dense_model()
    before = {name: value.clone() for name, value in dense.state_dict().items()}
    dense_macs = count_macs(dense, task.example)
    candidate = Candidate(
        budget_macs=dense_macs // 3,
        allocator=Choice.of(allocator),
        method=Choice.of(method),
        step=Choice.of(step) if step else None,
        offsets=(("layer1.0.conv1", 0.1),),
        rounds=3,
    )
    generator, trained = torch.Generator().manual_seed(0), []

    def between(network: nn.Module) -> None:
        trained.append(count_macs(network, task.example))
        finetune(network, task, recipe=Recipe(steps=4, lr=0.01), generator=generator)

    analysis = analyse(dense, task.example)
    plan, network = prune_in_rounds(candidate, dense, task, analysis=analysis, between=between, generator=generator)
    macs = count_macs(network, task.example)
    assert dense_macs > trained[0] > trained[1] > macs
    assert 0.85 * candidate.budget_macs < macs <= candidate.budget_macs
    if step in (None, "merge", "sketch"):
        assert macs == int(analysis.cost.macs(plan.counts(analysis.groups))[0])
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())


def test_all_rounds_together_train_as_long_as_one() -> None:
    assert share_of(Finetune(steps=100), 3) == Finetune(steps=33)
    assert share_of(Finetune(), 2) == Finetune(steps=50)
    assert share_of(Finetune(epochs=3.0), 2) == Finetune(epochs=1.5)
    assert share_of(Recalibrate(), 3) == Recalibrate()


def test_a_worker_evaluates_candidates_of_several_rounds() -> None:
    splits = load_splits(SPEC)
    task = Task(SPEC, splits)
    dense = task.dense_model()
    analysis = analyse(dense, task.example)
    evidence = gather_evidence(dense, analysis)
    ladder = (
        ProxySpec(name="recalibrate", params={"num_samples": 64}),
        ProxySpec(name="finetune", params={"steps": 6}),
    )
    evaluator = Evaluator(SPEC, splits, analysis, evidence, ladder)
    candidate = Candidate(
        budget_macs=analysis.cost.dense_macs // 2, allocator=Choice.of("sap"), method=Choice.of("l1"), rounds=2
    )
    for fidelity in (0, 1):
        first, again = (evaluator.evaluate(candidate, fidelity=fidelity, seed=3) for _ in range(2))
        assert first.status == "complete", first.reason
        assert (first.accuracy, first.loss, first.macs) == (again.accuracy, again.loss, again.macs)
        assert 0.85 * candidate.budget_macs < first.macs <= candidate.budget_macs
