"""From a finished search to a registered model: the whole way, as `paretoprune export` goes it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evaluators.artifact import load_slim
from search.config_file import parse_config
from search.export_run import budget_alias, export_run
from search.flow import SearchResult, read_run, run_search
from search.front import Measured
from search.picking import alike_to_best, best_at, by_loss_and_params
from search.prepare import prepare
from search.report import ExportReport
from search.tracking_models import Registration, try_register
from spaces import UserError

CONFIG = {
    "model": "digits_resnet",
    "data": "digits",
    "target_flops": "0.3:0.8",
    "trials": 4,
    "train": {"steps": 20, "lr": 0.05},
    "finetune": {"steps": 5, "epochs": None},
    "space": {"preset": "methods", "allocators": ["uniform"], "methods": ["l1", "l2"]},
    "workers": {"count": 1},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    return run_search(parse_config(CONFIG), runs=tmp_path_factory.mktemp("runs"), name="tiny")


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def out(result: SearchResult, said: list[str]) -> Path:
    folder = result.folder.path / "export"
    formats = frozenset({"safetensors"})
    export_run(result.folder, target_flops="0.6", out=folder, formats=formats, progress=said.append)
    return folder


@pytest.fixture(scope="module")
def report(out: Path) -> ExportReport:
    return ExportReport.from_json((out / "report.json").read_text(encoding="utf-8"))


def test_the_best_member_within_the_budget_or_a_neighbour_s_decisions_there_are_exported(
    result: SearchResult, report: ExportReport, said: list[str]
) -> None:
    front = read_run(result.folder).front
    budget = int(0.6 * front.dense_macs)
    best = front.best_under(budget)
    assert best is not None
    assert best.macs <= report.pruned.macs <= budget
    if report.pruned.macs > best.macs:
        assert report.candidate["budget_macs"] == budget
        assert any("decisions at this budget" in line for line in said)
    assert report.recipe["steps"] == 5


def test_mlflow_has_it_under_its_budget(result: SearchResult, out: Path, report: ExportReport, said: list[str]) -> None:
    import mlflow

    assert said[-1] == "in MLflow: models:/tiny@flops-60"
    uri = f"sqlite:///{result.folder.path.parent / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    version = client.get_model_version_by_alias("tiny", "flops-60")
    assert int(version.tags["macs"]) == report.pruned.macs
    run = client.get_run(version.run_id)
    assert run.data.metrics["test_accuracy"] == pytest.approx(report.pruned.accuracy)
    assert run.data.tags["role"] == "export"
    assert {file.path for file in client.list_artifacts(version.run_id, "export")} >= {"export/report.html"}
    mlflow.set_tracking_uri(uri)
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(mlflow.pytorch.load_model("models:/tiny@flops-60")(images), load_slim(out)(images))


def test_mlflow_away_costs_nothing_but_a_sentence(out: Path, report: ExportReport, tmp_path: Path) -> None:
    nowhere = Registration(
        uri="http://127.0.0.1:9",
        experiment="e",
        runs=tmp_path,
        model="tiny",
        search_id="tiny",
        trial=0,
        alias="flops-60",
    )
    assert "MLflow did not take the model" in try_register(out, report, nowhere)


def test_a_budget_below_every_network_is_refused_before_anything_is_written(
    result: SearchResult, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="less than the smallest reachable network"):
        export_run(result.folder, target_flops="0.0001", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_budget_that_was_never_searched_gets_a_network_that_fits_it(result: SearchResult, tmp_path: Path) -> None:
    target = 0.9 * result.front.members[0].macs / result.dense.macs
    said: list[str] = []
    report = export_run(
        result.folder,
        target_flops=f"{target:.4f}",
        out=tmp_path / "out",
        formats=frozenset({"safetensors"}),
        progress=said.append,
    )
    assert 0.5 * target < report.pruned.macs / result.dense.macs <= target
    assert any("decisions at this budget" in line for line in said)
    assert load_slim(tmp_path / "out") is not None


def test_the_whole_budget_counts_up_to_the_end_of_the_range(result: SearchResult) -> None:
    prepared = prepare(result.config, folder=result.folder.path, known=result.dense)
    end, member = prepared.space.high_macs, result.front.members[0]
    assert member.candidate.budget_macs < end
    alone = replace(result, front=replace(result.front, members=(member,)))
    said: list[str] = []
    answer = best_at(alone, prepared, member=member, target_flops=str(end), say=said.append)
    margin = math.sqrt(answer.accuracy * (1 - answer.accuracy) / len(prepared.task.search))
    assert said
    assert answer.candidate == replace(member.candidate, budget_macs=end)
    assert answer.accuracy >= member.accuracy - margin
    said.clear()
    assert best_at(alone, prepared, member=member, target_flops=str(end + 1), say=said.append).number == member.number
    assert not said


def test_networks_that_accuracy_does_not_tell_apart_are_ranked_by_loss_and_parameters(result: SearchResult) -> None:
    some = result.front.members[0]

    def item(number: int, accuracy: float, loss: float, params: int) -> Measured:
        evaluation = replace(some.evaluation, accuracy=accuracy, loss=loss, params=params)
        return replace(some, number=number, evaluation=evaluation)

    best, larger, lossy, worse = (
        item(0, 0.80, 0.60, 90),
        item(1, 0.79, 0.61, 120),
        item(2, 0.79, 0.9, 100),
        item(3, 0.7, 0, 200),
    )
    alike = alike_to_best([best, larger, lossy, worse], num_images=400)  # a standard error of 0.02
    assert alike == [best, larger, lossy]
    assert [one.number for one in by_loss_and_params(alike)] == [1, 0, 2]
    assert alike_to_best([best, larger], num_images=10_000) == [best]
    assert by_loss_and_params(alike_to_best([], num_images=400)) == []


def test_of_trials_at_the_very_budget_none_is_measured_again(result: SearchResult) -> None:
    prepared = prepare(result.config, folder=result.folder.path, known=result.dense)
    member = result.front.members[0]
    budget = member.candidate.budget_macs
    alone = replace(result, front=replace(result.front, members=(member,)), measured=(member,))
    said: list[str] = []
    assert best_at(alone, prepared, member=member, target_flops=str(budget), say=said.append) is member
    assert not said


@pytest.mark.parametrize(
    ("target", "alias"), [("0.4", "flops-40"), ("40%", "flops-40"), ("0.455", "flops-45-5"), ("55M", "flops-55M")]
)
def test_aliases_name_the_budget(target: str, alias: str) -> None:
    assert budget_alias(target) == alias
