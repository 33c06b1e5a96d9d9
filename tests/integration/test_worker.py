"""Candidates become evaluations; what is the candidate's fault comes back as such, everything else is raised."""

import json
import math
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from evaluators.base import train_base
from evaluators.evaluation import Evaluation
from evaluators.proxy import ProxySpec
from evaluators.recipe import Recipe
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.split import Splits
from evaluators.task import Task, load_splits
from evaluators.worker import Evaluator, out_of_memory
from pruners import METHODS, STEPS, Analysis, Evidence, analyse, count, gather_evidence
from spaces import Candidate, Choice, UserError

LADDER = (
    ProxySpec(name="recalibrate", params={"num_samples": 200}),
    ProxySpec(name="finetune", params={"steps": 20, "batch_size": 32, "lr": 0.02, "distill_weight": 0.5}),
)
Parts = tuple[TaskSpec, Splits, Analysis, Evidence]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    spec = TaskSpec(
        model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 8}),
        data=DataSpec(name="digits", params={"num_search": 200}),
        device="cpu",
    )
    splits = load_splits(spec)
    recipe = Recipe(epochs=5, batch_size=32, lr=0.1)
    spec = train_base(spec, splits, recipe=recipe, folder=tmp_path_factory.mktemp("run"))
    task = Task(spec, splits)
    model = task.dense_model()
    analysis = analyse(model, task.example)
    return spec, splits, analysis, gather_evidence(model, analysis, needs=frozenset({"weights"}))


@pytest.fixture(scope="module")
def evaluator(parts: Parts) -> Evaluator:
    return Evaluator(*parts, LADDER)


def candidate(parts: Parts, share: float, **changes: object) -> Candidate:
    budget = max(1, int(share * parts[2].cost.dense_macs))
    base = Candidate(budget_macs=budget, allocator=Choice.of("uniform"), method=Choice.of("l2"))
    return replace(base, **changes)


@pytest.mark.parametrize("fidelity", [0, 1])
def test_an_evaluation_is_a_function_of_its_arguments(parts: Parts, evaluator: Evaluator, fidelity: int) -> None:
    chosen = candidate(parts, 0.5)
    before = {key: value.clone() for key, value in evaluator.dense.state_dict().items()}
    first = evaluator.evaluate(chosen, fidelity=fidelity, seed=3)
    evaluator.evaluate(candidate(parts, 0.4), fidelity=1, seed=3)
    again = Evaluator(*pickle.loads(pickle.dumps(parts)), LADDER).evaluate(chosen, fidelity=fidelity, seed=3)
    measured = [(e.accuracy, e.loss, e.macs, e.thop_macs, e.params) for e in (first, again)]
    assert measured[0] == measured[1]
    assert first.loss != evaluator.evaluate(chosen, fidelity=fidelity, seed=4).loss
    assert all(torch.equal(value, evaluator.dense.state_dict()[key]) for key, value in before.items())


def test_costs_are_those_of_the_network_that_was_scored(parts: Parts, evaluator: Evaluator) -> None:
    chosen = candidate(parts, 0.6)
    found = evaluator.evaluate(chosen, fidelity=0, seed=0)
    _, small = evaluator.build(chosen)
    counts = count(small, evaluator.task.example)
    assert (found.macs, found.thop_macs, found.params) == (counts.macs, counts.thop_macs, counts.params)
    assert found.macs <= chosen.budget_macs
    assert found.status == "complete"
    assert found.seconds >= sum(found.timings.values()) > 0


@pytest.mark.parametrize("step", STEPS.names())
def test_costs_after_a_step_are_those_of_the_finished_network(parts: Parts, step: str) -> None:
    spec, splits, analysis, _ = parts
    task = Task(spec, splits)
    batches = task.batches(64, generator=torch.Generator().manual_seed(0))
    needs = STEPS.entry(step).target.needs | METHODS.entry("l2").target.needs
    evidence = gather_evidence(task.dense_model(), analysis, needs=needs, batches=batches)
    evaluator = Evaluator(spec, splits, analysis, evidence, LADDER)
    chosen = candidate(parts, 0.6, step=Choice.of(step))
    found = evaluator.evaluate(chosen, fidelity=0, seed=0)
    assert found.status == "complete", found.reason
    _, small = evaluator.build(chosen)
    assert found.params == sum(parameter.numel() for parameter in small.parameters())
    assert found.macs == count(small, task.example).macs <= chosen.budget_macs
    again = evaluator.evaluate(chosen, fidelity=0, seed=0)
    assert (again.accuracy, again.loss) == (found.accuracy, found.loss)


def test_training_mends_what_pruning_broke(parts: Parts, evaluator: Evaluator) -> None:
    scores = [evaluator.evaluate(candidate(parts, 0.3), fidelity=fidelity, seed=0).accuracy for fidelity in (0, 1)]
    assert scores[0] < scores[1] <= 1
    assert evaluator.dense_score().accuracy > 0.9


def test_a_budget_out_of_reach_is_infeasible(parts: Parts, evaluator: Evaluator) -> None:
    found = evaluator.evaluate(candidate(parts, 0), fidelity=0, seed=0)
    assert found.status == "infeasible"
    assert found.reason is not None
    assert math.isnan(found.accuracy)


def test_an_impossible_plan_fails_alone(parts: Parts, evaluator: Evaluator) -> None:
    found = evaluator.evaluate(candidate(parts, 0.5, offsets=(("no.such.group", 0.1),)), fidelity=0, seed=0)
    assert (found.status, found.fidelity, found.seed) == ("failed", 0, 0)
    assert "no.such.group" in str(found.reason)


def test_a_diverging_training_fails_alone(parts: Parts) -> None:
    ladder = (ProxySpec(name="finetune", params={"steps": 60, "lr": 1.0, "weight_decay": 0.1, "batch_size": 2}),)
    evaluator = Evaluator(*parts, ladder)
    with torch.no_grad():
        evaluator.dense.get_submodule("linear").weight.fill_(math.inf)  # type: ignore[operator, union-attr]
    found = evaluator.evaluate(candidate(parts, 0.5), fidelity=0, seed=0)
    assert found.status == "failed"
    assert "not finite" in str(found.reason)


def test_mistakes_of_the_user_are_raised(parts: Parts, evaluator: Evaluator) -> None:
    with pytest.raises(UserError, match="unknown method"):
        evaluator.evaluate(candidate(parts, 0.5, method=Choice.of("l3")), fidelity=0, seed=0)
    with pytest.raises(IndexError):
        evaluator.evaluate(candidate(parts, 0.5), fidelity=2, seed=0)
    with pytest.raises(UserError, match="did you mean 'recalibrate'"):
        Evaluator(*parts, (ProxySpec(name="recalibrat"),))


def test_too_little_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert out_of_memory(caught.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not out_of_memory(RuntimeError("shapes do not match"))


class Hungry(nn.Module):
    """Asks for a petabyte for every batch but the first sizes of it."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 30:
            torch.empty(2**50)
        return self.linear(self.norm(self.conv(x)).mean((2, 3)))  # type: ignore[no-any-return]


def hungry(*, num_classes: int) -> nn.Module:
    return Hungry(num_classes)


def test_out_of_memory_fails_alone(parts: Parts) -> None:
    spec = replace(parts[0], model=ModelSpec(name=f"{__name__}:hungry"))
    task = Task(spec, parts[1])
    model = task.dense_model()
    analysis = analyse(model, task.example)
    evidence = gather_evidence(model, analysis, needs=frozenset({"weights"}))
    evaluator = Evaluator(spec, parts[1], analysis, evidence, LADDER)
    found = evaluator.evaluate(candidate((spec, parts[1], analysis, evidence), 0.6), fidelity=0, seed=0)
    assert found.status == "failed"
    assert str(found.reason).startswith("out of memory: ")
    assert "\n" not in str(found.reason)


def test_a_base_network_is_trained_once(parts: Parts, tmp_path: Path) -> None:
    spec, splits = replace(parts[0], model=replace(parts[0].model, weights=None)), parts[1]
    recipe, steps = Recipe(steps=3, batch_size=32), []
    for _ in range(2):
        found = train_base(spec, splits, recipe=recipe, folder=tmp_path, on_step=lambda n, loss: steps.append(n))
    assert steps == [1, 2, 3]
    assert found.model.weights is not None
    assert Path(found.model.weights).parent == tmp_path
    Task(found, splits).dense_model()
    train_base(replace(spec, seed=1), splits, recipe=recipe, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_evaluations_and_specs_survive_json(parts: Parts, evaluator: Evaluator) -> None:
    for share in (0.5, 0):
        found = evaluator.evaluate(candidate(parts, share), fidelity=0, seed=0)
        assert Evaluation.from_json(found.to_json()) == found
        assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found
    assert TaskSpec.from_dict(json.loads(json.dumps(parts[0].to_dict()))) == parts[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "done"},
        {"accuracy": math.nan},
        {"accuracy": 1.5},
        {"loss": math.inf},
        {"macs": 0},
        {"reason": "none"},
        {"status": "failed"},
    ],
)
def test_impossible_evaluations_are_refused(changes: dict[str, object]) -> None:
    good = Evaluation(status="complete", fidelity=0, seed=0, accuracy=0.5, loss=1.0, macs=5)
    with pytest.raises(ValueError, match=r"needs|must be|have a reason"):
        replace(good, **changes)
