"""After the search: the front's members are trained in workers, tested in the driver, and exported as they are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evaluators.artifact import load_slim
from evaluators.evaluation import Evaluation
from search.config_file import parse_config
from search.export_run import export_run
from search.finals import spread
from search.flow import SearchResult, read_run, resume_search, run_search
from search.front import Front, Measured
from search.run_folder import check_resumable
from spaces import Candidate, Choice, UserError

CONFIG = {
    "model": "digits_resnet",
    "data": "digits",
    "target_flops": "0.2:0.8",
    "trials": 5,
    "train": {"steps": 30, "lr": 0.05},
    "finetune": {"steps": 6, "epochs": None},
    "train_front": 2,
    "workers": {"count": 2},
}


def member(number: int, macs: int) -> Measured:
    candidate = Candidate(budget_macs=macs, allocator=Choice.of("uniform"), method=Choice.of("l2"))
    evaluation = Evaluation(status="complete", fidelity=0, seed=0, accuracy=0.5, loss=1.0, macs=macs)
    return Measured(number=number, candidate=candidate, evaluation=evaluation)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [64]), (2, [1, 64]), (3, [1, 8, 64]), (9, [1, 2, 7, 8, 30, 64])],
)
def test_members_are_taken_evenly_over_the_logarithm_of_macs(count: int, expected: list[int]) -> None:
    members = [member(number, macs) for number, macs in enumerate([1, 2, 7, 8, 30, 64])]
    assert [item.macs for item in spread(members, count)] == expected


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return run_search(parse_config(CONFIG), runs=tmp_path_factory.mktemp("runs"), name="final")


def test_the_last_front_is_one_of_trained_networks_with_test_accuracy(result: SearchResult) -> None:
    assert result.finished
    trained = [item for item in result.measured if item.evaluation.fidelity == 1]
    searched = [item for item in result.measured if item.evaluation.fidelity == 0]
    before = Front.settled(searched, dense_macs=result.dense.macs)
    assert [item.number for item in trained] == sorted(item.number for item in spread(before.members, 2))
    assert {item.number for item in result.front.members} <= {item.number for item in trained}
    assert result.front.fidelity == 1
    for item in trained:
        assert item.evaluation.test_accuracy is not None
        assert 0 < item.evaluation.test_accuracy <= 1
    assert read_run(result.folder).front == result.front


def test_a_trained_network_is_exported_as_it_is(result: SearchResult, tmp_path: Path) -> None:
    best = result.front.members[-1]
    said: list[str] = []
    formats = frozenset({"safetensors"})
    report = export_run(result.folder, target_flops="0.8", out=tmp_path / "a", formats=formats, progress=said.append)
    assert any("was trained after the search" in line for line in said)
    assert report.pruned.accuracy == pytest.approx(best.evaluation.test_accuracy)
    kept = load_slim(result.folder.trained / f"{best.number:04d}").state_dict()
    for name, value in load_slim(tmp_path / "a").state_dict().items():
        torch.testing.assert_close(value, kept[name], rtol=0, atol=0)


def test_another_recipe_trains_anew_and_says_what_it_did(result: SearchResult, tmp_path: Path) -> None:
    export_run(
        result.folder,
        target_flops="0.8",
        out=tmp_path / "b",
        formats=frozenset({"safetensors"}),
        overrides=["finetune.steps=3"],
    )
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert report["recipe"]["steps"] == 3
    assert report["before"] == {}


def test_going_on_trains_only_who_is_missing(result: SearchResult) -> None:
    config = result.config.model_copy(update={"train_front": 3})
    more = resume_search(result.folder, config)
    before = {(item.number, item.evaluation.fidelity): item for item in result.measured}
    after = {(item.number, item.evaluation.fidelity): item for item in more.measured}
    assert all(after[key] == item for key, item in before.items())
    assert {fidelity for _, fidelity in set(after) - set(before)} == {1}
    assert replace(more.front.members[0].evaluation, seconds=0).test_accuracy is not None


def test_a_front_has_one_recipe(result: SearchResult) -> None:
    config = result.config
    other = config.model_copy(update={"finetune": {**config.finetune, "steps": 5}})
    assert result.folder.trained.exists()
    check_resumable(config, other)
    with pytest.raises(UserError, match="finetune"):
        check_resumable(config, other, trained=True)
