"""Searches on Ray: budgets, ladders, workers that die, hang or crash, and drivers that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.config import Workers
from search.flow import read_run, resume_search, run_search
from search.run_folder import RunFolder
from search.runtime.session import ray_session
from spaces import UserError
from tests.integration.conftest import TINY

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.usefixtures("ray_two_cpus")


def faulty(tmp_path: Path, fault: str) -> dict[str, Any]:
    params = {"driver": os.getpid(), "fault": fault, "flag": str(tmp_path / "happened")}
    return {"name": "tests.integration.faulty_models:build", "params": params}


def test_a_search_answers_every_trial_and_going_on_does_nothing_more(tiny: Any, runs: Path) -> None:
    config = tiny()
    result = run_search(config, runs=runs, name="first")
    assert result.finished
    assert result.stopped is None
    assert len(result.measured) == 6
    assert all(item.evaluation.status == "complete" for item in result.measured)
    assert all(0.3 * result.dense.macs * 0.9 <= item.macs <= 0.8 * result.dense.macs for item in result.measured)
    assert read_run(result.folder).front == result.front
    again = resume_search(result.folder, config)
    assert again.measured == result.measured
    more = resume_search(result.folder, config.model_copy(update={"trials": 8}))
    assert len(more.measured) == 8
    assert more.measured[:6] == result.measured


def test_evaluations_are_the_same_whoever_runs_them(tiny: Any, runs: Path) -> None:
    one = run_search(tiny(workers={"count": 1}, sampler="random", trials=4), runs=runs)
    two = run_search(tiny(workers={"count": 2}, sampler="random", trials=4), runs=runs)
    answers = [{m.candidate.key: (m.accuracy, m.macs) for m in result.measured} for result in (one, two)]
    common = answers[0].keys() & answers[1].keys()
    assert len(common) >= 2
    assert all(answers[0][key] == answers[1][key] for key in common)


def test_a_ladder_shows_one_fidelity(tiny: Any, runs: Path) -> None:
    ladder = [{"proxy": "recalibrate", "num_samples": 64}, {"proxy": "finetune", "steps": 5, "num_samples": 64}]
    result = run_search(tiny(ladder=ladder), runs=runs)
    assert result.finished
    rungs = [sum(item.evaluation.fidelity == rung for item in result.measured) for rung in (0, 1)]
    assert rungs[0] == 6
    assert 1 <= rungs[1] <= 6
    assert {item.evaluation.fidelity for item in result.front.members} == {1}
    assert read_run(result.folder).finished


@pytest.mark.parametrize("fault", ["die", "hang"])
def test_a_worker_that_dies_or_hangs_is_replaced(tiny: Any, runs: Path, tmp_path: Path, fault: str) -> None:
    workers = {"count": 1, "timeout_seconds": 4, "max_failures": 1}
    result = run_search(tiny(model=faulty(tmp_path, fault), trials=3, workers=workers), runs=runs)
    assert (tmp_path / "happened").exists()
    assert len(result.measured) == 3
    assert all(item.evaluation.status == "complete" for item in result.measured)
    hangs = list(result.folder.troubles.glob("hang-*.txt"))
    assert len(hangs) == (fault == "hang")
    if hangs:
        assert "_go_wrong" in hangs[0].read_text()


def test_a_worker_that_always_dies_is_a_failed_trial(tiny: Any, runs: Path, tmp_path: Path) -> None:
    workers = {"count": 1, "max_failures": 0}
    result = run_search(tiny(model=faulty(tmp_path, "die"), trials=3, workers=workers), runs=runs)
    assert [item.evaluation.status for item in result.measured].count("failed") == 1
    assert len(result.measured) == 3
    assert result.finished


def test_a_bug_stops_the_search_and_is_shown_whole(tiny: Any, runs: Path, tmp_path: Path) -> None:
    result = run_search(tiny(model=faulty(tmp_path, "raise"), give_up_after=2, trials=20), runs=runs)
    assert result.stopped is not None
    assert "ZeroDivisionError: a bug in the user's network" in result.stopped
    assert result.trouble is not None
    assert "_go_wrong" in result.trouble
    assert not result.finished
    assert len(result.measured) < 6
    assert list(result.folder.troubles.glob("trial-*.txt"))


def test_more_than_the_machine_has_is_refused() -> None:
    with pytest.raises(UserError, match="no worker fits"), ray_session(Workers(cpus=1000), use_gpu=False):
        pass


def test_a_killed_driver_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**TINY, "trials": 30}))
    base = [sys.executable, "-m", "search.cli", "search", "--runs-dir", str(tmp_path / "runs")]
    folder = RunFolder(path=tmp_path / "runs" / "killed")
    driver = subprocess.Popen(
        [*base, str(config), "--name", "killed"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert driver.stderr is not None
    for line in driver.stderr:
        if line.startswith("5/30"):
            break
    os.kill(driver.pid, signal.SIGKILL)
    driver.stderr.close()
    driver.wait()
    before = read_run(folder)
    assert not before.finished
    assert 5 <= len(before.measured) < 30
    done = subprocess.run([*base, "--resume", "killed"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    after = read_run(folder)
    assert after.finished
    assert len(after.measured) == 30
    kept = {item.number: item for item in after.measured}
    assert all(kept[item.number] == item for item in before.measured)
    assert len({item.candidate.key for item in after.measured}) == 30


def test_an_interrupt_ends_in_order_and_says_how_to_go_on(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**TINY, "trials": 500}))
    command = [sys.executable, "-m", "search.cli", "search", str(config), "--runs-dir", str(tmp_path / "runs")]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driver.stderr is not None
    for line in driver.stderr:
        if line.startswith("3/500"):
            break
    time.sleep(0.2)
    driver.send_signal(signal.SIGINT)
    out, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "paretoprune search --resume" in out
