"""The command line as people use it: what it prints, its exit codes, and every mistake as one line."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from search.cli.app import app
from tests.integration.conftest import TINY

ROOT = Path(__file__).parent.parent.parent


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}), encoding="utf-8")
    return path


def image_folder(folder: Path) -> dict[str, Any]:
    (folder / "images" / "train").mkdir(parents=True)
    return {"name": "image_folder", "path": str(folder / "images")}


def corrupt(folder: Path) -> str:
    path = folder / "weights.safetensors"
    path.write_bytes(b"this is no checkpoint")
    return str(path)


def wrong(folder: Path) -> str:
    path = folder / "weights.pt"
    torch.save({"conv1.weight": torch.zeros(3, 3)}, path)
    return str(path)


@pytest.mark.parametrize(
    ("changes", "arguments", "parts"),
    [
        ({"spcae": 1}, [], ["spcae: unknown key", "'space'"]),
        ({"trials": "many"}, [], ["trials = 'many'", "valid integer"]),
        ({}, ["--target-flops", "0.0001"], ["target_flops", "reachable here", "of dense"]),
        ({}, ["--target-flops", "2G"], ["target_flops", "more than the dense network has", "reachable here"]),
        ({}, ["--target-flops", "big"], ["target_flops = 'big'", "fraction"]),
        ({}, ["--trials", "0"], ["trials = 0"]),
        ({"weights": "nothing.safetensors"}, [], ["weights", "nothing.safetensors", "no such file"]),
        ({"train": {}}, [], ["weights", "is required", "train"]),
        ({"train": {"epoch": 3}}, [], ["train", "epoch", "did you mean 'epochs'"]),
        ({"train": {"epochs": "long"}}, [], ["train.epochs", "'long'"]),
        ({"finetune": {"lr": -1}}, [], ["finetune", "lr must be positive"]),
        ({"space": {"methods": ["l3"]}}, [], ["space.methods = 'l3'", "unknown method", "did you mean 'l"]),
        ({"space": {"methods": []}}, [], ["space.methods", "at least one"]),
        ({"space": {"exclude": ["nothing*"]}}, [], ["space.exclude", "fits no channel group"]),
        ({"sampler": "nsga3"}, [], ["sampler = 'nsga3'", "nsga2"]),
        ({"sampler": {"name": "tpe", "startup": -4}}, [], ["sampler.tpe.startup = -4", "1..10000"]),
        ({"ladder": ["recalibrat"]}, [], ["ladder.0 = 'recalibrat'", "recalibrate"]),
        ({"model": "digits_resnt"}, [], ["digits_resnt", "digits_resnet"]),
        ({"model": {"name": "digits_resnet", "widht": 4}}, [], ["widht"]),
        ({"data": "digit"}, [], ["data.name = 'digit'", "digits"]),
        ({"device": "gpu"}, [], ["device = 'gpu'", "cpu"]),
        ({"storage": "nosuch://x", "train": {"steps": 1}}, [], ["storage", "can't be opened"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    tmp_path: Path, changes: dict[str, Any], arguments: list[str], parts: list[str]
) -> None:
    runs = tmp_path / "runs"
    result = call("search", write(tmp_path, **changes), "--runs-dir", runs, *arguments)
    assert result.exit_code == 2, result.output
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert result.stderr.splitlines()[-1] == errors[0]
    assert "Traceback" not in result.output
    for part in parts:
        assert part in errors[0]
    assert not runs.exists() or not list(runs.iterdir()), "a mistake leaves no run behind"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (lambda folder: {"weights": corrupt(folder)}, ["weights.safetensors"]),
        (lambda folder: {"weights": wrong(folder)}, ["weights.pt"]),
        (lambda folder: {"data": image_folder(folder)}, ["images"]),
        (lambda folder: {"data": {"name": "image_folder", "path": str(folder / "nowhere")}}, ["nowhere"]),
    ],
    ids=["corrupt checkpoint", "wrong weights", "no images", "no folder"],
)
def test_bad_files_are_one_line(tmp_path: Path, changes: Any, parts: list[str]) -> None:
    result = call("search", write(tmp_path, **changes(tmp_path)), "--runs-dir", tmp_path / "runs")
    assert result.exit_code == 2, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for part in parts:
        assert part in last


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["search", "nothing.yaml"], "there is no such file"),
        (["search"], "CONFIG: is required"),
        (["search", "--resume", "nothing"], "there is no such run"),
        (["search", "a.yaml", "--resume", "nothing"], "give neither"),
        (["front", "nothing"], "there is no such run"),
        (["export", "nothing", "--target-flops", "0.5", "--out", "x"], "there is no such run"),
        (["list", "metods"], "did you mean 'methods'"),
        (["list"], "is required"),
    ],
)
def test_wrong_calls_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert part in result.stderr.splitlines()[-1]


def test_yaml_mistakes_have_their_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("model: resnet20\ndata: [\n", encoding="utf-8")
    result = call("search", path)
    assert result.exit_code == 2
    assert "line 3: is not YAML" in result.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = call("search", "nothing.yaml", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_a_mistake_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "search.cli", "search", str(write(tmp_path, trials=-1))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["error: trials = -1: should be greater than or equal to 1"]


def test_help_names_every_command() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name in ("search", "front", "ui", "export", "prune", "mask", "inspect", "latency", "list", "sync"):
        assert name in result.output
        assert call(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("methods", ["l1", "fpgm", "arXiv"]),
        ("allocators", ["uniform"]),
        ("regimes", ["greg", "slimming", "arXiv"]),
        ("proxies", ["recalibrate", "finetune"]),
        ("models", ["resnet20", "torchvision"]),
        ("samplers", ["tpe", "nsga2"]),
        ("datasets", ["digits", "image_folder"]),
        ("steps", []),
    ],
)
def test_lists(kind: str, names: list[str]) -> None:
    result = call("list", kind)
    assert result.exit_code == 0, result.output
    for name in names:
        assert name in result.output


def test_inspect_needs_no_weights_and_says_what_stays(tmp_path: Path) -> None:
    result = call("inspect", write(tmp_path, train={}))
    assert result.exit_code == 0, result.output
    for part in ("Channel groups", "layer1.0.conv1", "Left as it is", "network output", "reachable budgets"):
        assert part in result.output


@pytest.mark.usefixtures("ray_two_cpus")
def test_search_front_and_export_in_a_row(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    result = call("search", write(tmp_path), "--runs-dir", runs, "--name", "row", "--set", "finetune.steps=3")
    assert result.exit_code == 0, result.output
    assert "6/6 trial" in result.stderr
    assert "Pareto front of row" in result.stdout
    assert "paretoprune export" in result.stdout

    data = json.loads(call("front", "row", "--runs-dir", runs, "--format", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(call("front", "last", "--runs-dir", runs, "--format", "csv").stdout)))
    assert [row["macs"] for row in rows] == [str(item["macs"]) for item in data["front"]]
    assert 0 < data["hypervolume"] < 1
    assert "accuracy %" in call("front", runs / "row").stdout
    combined = json.loads(call("front", runs / "row", "--combinations", "--format", "json").stdout)
    assert sum(item["on_front"] for item in combined["combinations"]) == len(data["front"])
    assert "Combinations on the front" in call("front", runs / "row", "--combinations").stdout

    again = call("search", write(tmp_path), "--runs-dir", runs, "--name", "row")
    assert again.exit_code == 2
    assert "--resume row" in again.stderr
    changed = call("search", "--resume", "row", "--runs-dir", runs, "--set", "seed=3")
    assert changed.exit_code == 2
    assert "seed = 3: can't change when a run goes on" in changed.stderr
    more = call("search", "--resume", "row", "--runs-dir", runs, "--trials", "7")
    assert more.exit_code == 0, more.output
    assert "7/7 trial" in more.stderr

    small = call("export", "row", "--runs-dir", runs, "--target-flops", "0.01", "--out", tmp_path / "out")
    assert small.exit_code == 2
    assert "less than the smallest reachable network has; reachable here:" in small.stderr
    out = tmp_path / "out"
    done = call("export", "row", "--runs-dir", runs, "--target-flops", "0.8", "--out", out, "--format", "safetensors")
    assert done.exit_code == 0, done.output
    assert "accuracy on the test split" in done.stdout
    assert {"model.safetensors", "architecture.json", "report.json", "report.html"} == {p.name for p in out.iterdir()}


def test_prune_needs_no_search(tmp_path: Path) -> None:
    out = tmp_path / "pruned"
    arguments = ["--method", "fpgm", "--target-flops", "0.5", "--out", out, "--format", "safetensors"]
    result = call("prune", write(tmp_path, finetune={"steps": 3}), *arguments)
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["candidate"]["method"]["name"] == "fpgm"
    assert report["pruned"]["macs"] <= 0.5 * report["dense"]["macs"]
    unknown = call("prune", write(tmp_path), "--method", "l9", "--target-flops", "0.5", "--out", out)
    assert unknown.exit_code == 2
    assert "unknown method" in unknown.stderr
    a_range = call("prune", write(tmp_path), "--method", "l1", "--target-flops", "0.3:0.5", "--out", out)
    assert a_range.exit_code == 2
    assert "must be one budget" in a_range.stderr
