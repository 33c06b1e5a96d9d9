"""Every regime keeps the contract: it takes part in a training, repeatably, and leaves a network that can be pruned."""

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluators.recipe import Recipe
from evaluators.regime import Regime
from evaluators.registries import REGIMES
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from evaluators.train import Trainer
from evaluators.while_training import mask_while_training, prune_while_training
from pruners import METHODS, analyse, count_macs, gather_evidence, make_plan, slim
from pruners.masks import prunable_weights
from spaces import Candidate, Categorical, Choice, Entry, Float, Integer, PlanError

SPEC = TaskSpec(
    model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 6}),
    data=DataSpec(name="digits", params={"num_train": 200, "num_search": 100}),
    device="cpu",
)
STRUCTURED = [entry for entry in REGIMES if entry.target.granularity == "channels"]
STRONG: dict[str, dict[str, Any]] = {
    "slimming": {"strength": 0.05},
    "group_lasso": {"strength": 0.5},
    "greg": {"limit": 10.0},
}
"""Far stronger than anybody would: a training of few steps is long enough to see the effect."""


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(SPEC, load_splits(SPEC))


def candidate(task: Task, regime: Any) -> Candidate:
    macs = count_macs(task.dense_model(), task.example)
    return Candidate(budget_macs=macs // 2, allocator=Choice.of("uniform"), method=Choice.of(regime.reads))


def trained(regime: Regime, task: Task, *, steps: int = 12) -> nn.Module:
    return prune_while_training(
        regime,
        task.dense_model(),
        task,
        candidate=candidate(task, regime),
        recipe=Recipe(steps=steps, lr=0.05, batch_size=32),
        generator=torch.Generator().manual_seed(0),
    )


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("entry", REGIMES, ids=lambda entry: entry.name)
def test_domains_hold_the_defaults(entry: Entry[Any]) -> None:
    defaults = {field.name: field.default for field in fields(entry.target)}
    assert set(entry.domains) == set(defaults)
    for name, domain in entry.domains.items():
        assert isinstance(domain, Float | Integer | Categorical)
        assert defaults[name] is None or domain.contains(defaults[name])
    assert entry.paper.startswith("arXiv:")
    assert entry.target.fidelity
    assert (entry.target.reads in METHODS.names()) == (entry.target.granularity == "channels")


@pytest.mark.parametrize("entry", STRUCTURED, ids=lambda entry: entry.name)
def test_the_trained_network_can_be_pruned(entry: Entry[Any], task: Task) -> None:
    regime = REGIMES.build(entry.name)
    network = trained(regime, task)
    assert not network.training
    assert count_macs(network, task.example) == count_macs(task.dense_model(), task.example)
    wanted = candidate(task, regime)
    analysis = analyse(network, task.example)
    plan = make_plan(wanted, analysis, gather_evidence(network, analysis))
    small = slim(network, analysis.groups, plan)
    assert 0.8 * wanted.budget_macs < count_macs(small, task.example) <= wanted.budget_macs


@pytest.mark.parametrize("entry", STRUCTURED, ids=lambda entry: entry.name)
def test_the_generator_decides_and_the_dense_network_stays(entry: Entry[Any], task: Task) -> None:
    regime = REGIMES.build(entry.name)
    dense = task.dense_model()
    before = state(dense)
    arguments: dict[str, Any] = {"candidate": candidate(task, regime), "recipe": Recipe(steps=3, batch_size=32)}
    first, again = (
        prune_while_training(regime, dense, task, generator=torch.Generator().manual_seed(1), **arguments)
        for _ in range(2)
    )
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())
    assert not any(torch.equal(value, before[name]) for name, value in prunable_weights(first).items())


@pytest.mark.parametrize("entry", STRUCTURED, ids=lambda entry: entry.name)
def test_what_goes_is_smaller_than_without_the_regime(entry: Entry[Any], task: Task) -> None:
    regime = entry.target(**STRONG[entry.name])
    wanted = candidate(task, regime)
    plain = task.dense_model()
    recipe = Recipe(steps=60, lr=0.05, batch_size=32)
    Trainer(model=plain, task=task, recipe=recipe).run(generator=torch.Generator().manual_seed(0))
    shares = []
    for network in (plain, trained(regime, task, steps=60)):
        analysis = analyse(network, task.example)
        evidence = gather_evidence(network, analysis)
        plan = dict(make_plan(wanted, analysis, evidence))
        gone = total = 0.0
        for group in analysis.groups:
            score = METHODS.build(regime.reads).score(group, evidence)
            gone += float(score.sum() - score[list(plan[group.name])].sum())
            total += float(score.sum())
        shares.append(gone / total)
    assert shares[1] < 0.97 * shares[0]


def test_second_variant_of_greg_picks_while_it_trains(task: Task) -> None:
    trained(REGIMES.build("greg", {"variant": 2}), task)


def test_single_weights_are_masked_and_the_network_stays_as_large(task: Task) -> None:
    model = task.dense_model()
    macs = count_macs(model, task.example)
    regime = REGIMES.build("granet", {"sparsity": 0.8})
    generator = torch.Generator().manual_seed(0)
    found = mask_while_training(regime, model, task, recipe=Recipe(steps=20, batch_size=32), generator=generator)
    assert count_macs(model, task.example) == macs == found.rounds[0].nonzero_macs
    last = found.rounds[-1]
    assert last.remaining_weights == found.masks.num_kept == round(0.2 * last.num_weights)
    assert last.nonzero_macs < 0.5 * macs
    assert set(last.pqi) == set(found.masks.kept)
    for name, weight in prunable_weights(model).items():
        assert not weight[~found.masks.kept[name]].any()
    with pytest.raises(PlanError, match="single weights"):
        prune_while_training(
            regime,
            model,
            task,
            candidate=Candidate(budget_macs=1, allocator=Choice.of("uniform"), method=Choice.of("l1")),
            recipe=Recipe(steps=1),
            generator=generator,
        )
