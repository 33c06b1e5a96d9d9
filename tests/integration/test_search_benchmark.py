"""The benchmark of searches, end to end on digits: two contenders choose, are fine-tuned and reported."""

import argparse
from pathlib import Path

import pytest
import yaml

from benchmarks.search.fastnas import kept_channels
from benchmarks.search.finetune import add_options, run
from benchmarks.search.networks import FOLDER, read_chosen
from benchmarks.search.report import Interval, report
from benchmarks.search.rows import DENSE, RUNS, Run
from benchmarks.tables import read_rows
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from pruners import Plan, analyse, slim
from tests.integration.conftest import TINY

CONTENDERS = "uniform-l1,wsp"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder in which two contenders have chosen for two budgets."""
    from benchmarks.search.choose import add_options as add_choose_options
    from benchmarks.search.choose import choose

    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY), encoding="utf-8")
    parser = argparse.ArgumentParser()
    add_choose_options(parser, names=["uniform-l1"])
    arguments = [str(config), "--contenders", CONTENDERS, "--budgets", "0.4,0.6"]
    choose(parser.parse_args(arguments, argparse.Namespace(out=tmp_path / "out")))
    return tmp_path / "out"


def finetune(out: Path, *, seeds: int) -> list[Run]:
    parser = argparse.ArgumentParser()
    add_options(parser)
    run(
        parser.parse_args(
            ["--seeds", str(seeds), "--schedule", "2@0.01,1@0.001", "--batch-size", "16"], argparse.Namespace(out=out)
        )
    )
    return read_rows(out / RUNS, kind=Run)


def test_runs_go_on_where_they_stopped_and_the_report_needs_only_them(out: Path) -> None:
    chosen = read_chosen(out / FOLDER)
    assert [(c.contender, c.budget) for c in chosen] == [
        (name, budget) for name in CONTENDERS.split(",") for budget in ("0.4", "0.6")
    ]
    assert all(0.8 * c.budget_macs < c.macs <= c.budget_macs for c in chosen)
    rows = finetune(out, seeds=1)
    assert [row.contender for row in rows].count(DENSE) == 1
    assert {(r.contender, r.macs) for r in rows if r.contender != DENSE} == {(c.contender, c.macs) for c in chosen}
    more = finetune(out, seeds=2)
    assert more[: len(rows)] == rows
    assert len(more) == len(rows) + len(chosen)
    (out / FOLDER / "subject.json").unlink()
    report(argparse.Namespace(out=out))
    table = (out / "table.md").read_text(encoding="utf-8")
    mean = Interval.of([100 * r.accuracy for r in more if (r.contender, r.budget) == ("wsp", "0.6")])
    assert mean.text(2) in table
    assert (out / "plot.png").stat().st_size > 10_000


def test_student_interval() -> None:
    interval = Interval.of([80.0, 81.0, 82.0])
    assert interval.mean == 81.0
    assert interval.half == pytest.approx(4.302653 / 3**0.5, rel=1e-6)  # t of 97.5 % with 2 degrees of freedom


def test_channels_of_a_shuffled_subnet_are_recognised() -> None:
    spec = TaskSpec(
        model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 4}),
        data=DataSpec(name="digits", params={"num_train": 50, "num_search": 50}),
        device="cpu",
    )
    task = Task(spec, load_splits(spec))
    dense = task.dense_model()
    groups = analyse(dense, task.example).groups
    group = next(group for group in groups if group.name == "layer2.0.conv1")
    for name, parameter in dense.named_parameters():
        if "bn" in name:
            parameter.data.uniform_()
    state = slim(dense, groups, Plan.of({group.name: [1, 3, 6]})).state_dict()
    shuffled = {k: v[[2, 0, 1]] if v.dim() and len(v) == 3 else v for k, v in state.items()}
    assert kept_channels(group, dense.state_dict(), shuffled) == [1, 3, 6]
    whole = next(other for other in groups if other.name == "layer1.0.conv1")
    assert kept_channels(whole, dense.state_dict(), shuffled) == list(range(whole.width))
