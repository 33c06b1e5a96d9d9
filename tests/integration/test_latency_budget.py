"""Latency from the command line: tables, budgets, a third objective, and what a report says of them."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from evaluators.evaluation import Evaluation
from pruners.latency import WholeNetwork
from search.cli.app import app
from search.front import Dense
from search.latency import read_table, write_table
from search.report import ExportReport
from search.study import Records, SearchStudy, open_storage
from search.targets import LatencyTarget
from spaces import InfeasibleError, UserError
from spaces.space import PluginSpace, Space
from tests.integration.conftest import TINY


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    out = folder / "table.json"
    done = call("latency", write(folder), "--out", out, "--batch", "2", "--threads", "1")
    assert done.exit_code == 0, done.output
    for part in ("measured", "predicted", "median error", "rank correlation", "batch 2 on", "1 thread"):
        assert part in done.output
    return out


@pytest.fixture
def steady(table: Path, tmp_path: Path) -> Path:
    """The measured table with times that do not depend on the machine: proportional to the weights."""
    found = read_table(table)
    grids = tuple(
        replace(grid, milliseconds=tuple(tuple(1e-3 * r * c for c in grid.columns) for r in grid.rows))
        for grid in found.grids
    )
    path = tmp_path / "steady.json"
    write_table(replace(found, grids=grids, whole=WholeNetwork(layers=1, per_megabyte=0, constant=0.01)), path)
    return path


def test_a_table_says_what_it_was_measured_on(table: Path) -> None:
    found = read_table(table)
    assert (found.batch_size, found.threads, found.dtype, found.input_shape) == (2, 1, "float32", (1, 8, 8))
    assert json.loads(table.read_text())["format"] == "paretoprune-latency/1"


@pytest.mark.parametrize(
    ("text", "dense_ms", "milliseconds"),
    [("3ms", 10, 3), ("800us", 10, 0.8), ("0.005s", 10, 5), ("0.5", 10, 5), (0.5, 10, 5), ("50%", 10, 5), ("1", 4, 4)],
)
def test_latency_budgets(text: object, dense_ms: float, milliseconds: float) -> None:
    assert LatencyTarget.parse(text).resolve(dense_ms=dense_ms, smallest_ms=0.1) == pytest.approx(milliseconds)


@pytest.mark.parametrize("text", ["", "fast", "3", "0", "0ms", "120%", "-1ms", True, "3ms:5ms", "1 h"])
def test_unreadable_latency_budgets(text: object) -> None:
    with pytest.raises(UserError, match="target_latency"):
        LatencyTarget.parse(text)


@pytest.mark.parametrize("text", ["1ms", "0.1", "30ms"])
def test_latency_out_of_reach_names_the_reachable_range(text: str) -> None:
    with pytest.raises(InfeasibleError, match=r"reachable here: 0\.2 to 1 of dense, 2 to 10 ms"):
        LatencyTarget.parse(text).resolve(dense_ms=10, smallest_ms=2)


@pytest.mark.parametrize("target", ["0.0001ms", "100s"])
def test_a_budget_out_of_reach_is_one_line_and_leaves_no_run(tmp_path: Path, table: Path, target: str) -> None:
    runs = tmp_path / "runs"
    arguments = ["--runs-dir", runs, "--target-latency", target, "--set", f"latency.table={table}"]
    result = call("search", write(tmp_path), *arguments)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: target_latency")
    assert "reachable here" in last
    assert not list(runs.iterdir())


def test_a_table_that_is_none_is_one_line(tmp_path: Path, table: Path) -> None:
    data = json.loads(table.read_text())
    wrong = {
        "nothing.json": (None, "can't be read"),
        "text.json": ("hello", "is not JSON"),
        "other.json": ("{}", "is no latency table"),
        "shape.json": (json.dumps({**data, "batch_size": "many"}), "batch_size: "),
        "grid.json": (json.dumps({**data, "grids": []}), "every call needs one of the grids"),
        "network.json": (json.dumps({**data, "dense_macs": 7}), "of another network"),
    }
    for name, (content, part) in wrong.items():
        if content is not None:
            (tmp_path / name).write_text(content, encoding="utf-8")
        arguments = ["--set", f"latency.table={tmp_path / name}", "--runs-dir", tmp_path / "runs"]
        result = call("search", write(tmp_path), *arguments)
        assert result.exit_code == 2, name
        last = result.stderr.splitlines()[-1]
        assert last.startswith("error: latency.table")
        assert part in last


@pytest.mark.usefixtures("ray_two_cpus")
def test_a_search_of_three_objectives_within_two_budgets(tmp_path: Path, steady: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    settings = ["--set", f"latency.table={steady}", "--set", "latency.objective=true", "--set", "finetune.steps=2"]
    arguments = ["--runs-dir", runs, "--name", "fast", "--trials", "4", "--target-latency", "0.5"]
    done = call("search", write(tmp_path), *arguments, *settings)
    assert done.exit_code == 0, done.output
    assert "latency" in done.stdout
    assert (runs / "fast" / "latency.json").is_file()

    records = Records(open_storage(runs / "fast" / "study.journal"), name="fast")
    assert len(records.study.directions) == 3
    dense = records.dense.latency_ms
    assert dense is not None
    measured = list(records.measured())
    assert len(measured) == 4
    assert all(0 < item.latency_ms <= 0.5 * dense for item in measured)
    for item in measured:
        assert records.study.trials[item.number].values == [item.accuracy, item.macs, item.latency_ms]

    rows = list(csv.DictReader(io.StringIO(call("front", "fast", "--runs-dir", runs, "--format", "csv").stdout)))
    assert all(float(row["latency_ms"]) <= 0.5 * dense for row in rows)
    steady.unlink()  # the run has its own copy
    limits = ["--target-latency", "0.5", "--format", "safetensors"]
    exported = call("export", "fast", "--runs-dir", runs, "--out", out, *limits)
    none = call("export", "fast", "--runs-dir", runs, "--out", out, "--target-latency", "0.0001ms")
    assert exported.exit_code == 0, exported.output
    report = ExportReport.from_json((out / "report.json").read_text(encoding="utf-8"))
    before, after = report.dense.predicted_latency, report.pruned.predicted_latency
    assert before is not None
    assert after is not None
    assert (before.milliseconds, before.batch_size) == (pytest.approx(dense), 2)
    assert after.milliseconds in [item.latency_ms for item in measured]
    assert 2 in [item.batch_size for item in report.pruned.latency], "measured at the table's batch size too"
    assert "latency predicted" in (out / "report.html").read_text(encoding="utf-8")
    assert none.exit_code == 2
    assert "the fastest network that this run found" in none.stderr


def test_prune_to_a_latency_in_rounds(tmp_path: Path, steady: Path) -> None:
    out = tmp_path / "pruned"
    settings = ["--set", f"latency.table={steady}", "--format", "safetensors", "--rounds", "2"]
    config = write(tmp_path, finetune={"steps": 2})
    result = call("prune", config, "--method", "l1", "--target-latency", "0.4", "--out", out, *settings)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    before, after = (report[name]["predicted_latency"]["milliseconds"] for name in ("dense", "pruned"))
    assert after <= 0.4 * before
    assert report["pruned"]["macs"] < report["dense"]["macs"]
    neither = call("prune", config, "--method", "l1", "--out", out)
    assert neither.exit_code == 2
    assert "--target-flops: is required, or --target-latency" in neither.stderr


def test_a_run_without_latencies_can_not_be_asked_for_them(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", with_latency=False)
    assert Dense(**{"macs": 100, "params": 10, "accuracy": 0.9}).latency_ms is None, "as older studies have it"
    with pytest.raises(UserError, match="another kind of study"):
        open_study(tmp_path / "study.journal", with_latency=True)
    assert len(study.study.directions) == 2


def test_failures_are_told_with_the_worst_of_three(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", with_latency=True)
    proposal = study.ask(lambda candidate: candidate.key)
    assert proposal is not None
    study.tell(proposal.number, Evaluation(status="failed", reason="because", fidelity=0, seed=0))
    assert study.study.trials[0].values == [0.0, 100.0, 5.0]


def test_older_evaluations_have_no_latency() -> None:
    data = Evaluation(status="complete", accuracy=0.5, loss=1.0, macs=3, fidelity=0, seed=0).to_dict()
    del data["latency_ms"]
    assert Evaluation.from_dict(data).latency_ms is None


def open_study(path: Path, *, with_latency: bool) -> SearchStudy:
    plugins = [PluginSpace(name=name, domains={}, defaults={}, fixed={}) for name in ("uniform", "l1")]
    space = Space(low_macs=30, high_macs=80, dense_macs=100, allocators=(plugins[0],), methods=(plugins[1],))
    dense = Dense(macs=100, params=10, accuracy=0.9, latency_ms=5.0)
    return SearchStudy(open_storage(path), name="test", space=space, dense=dense, with_latency=with_latency)
