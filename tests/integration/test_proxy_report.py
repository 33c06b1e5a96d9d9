"""The proxy report of studies whose answers are known: correlations, stages, idle workers, random search beside it."""

import json
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler
from typer.testing import CliRunner

from evaluators.evaluation import Evaluation
from search.cli.app import app
from search.config import Plugin
from search.flow import resume_search, run_search
from search.loop import Job, SearchLoop
from search.pages_proxy import proxy_section
from search.proxy_report import curve, proxy_report, rung_name
from search.stopwatch import Stopwatch
from search.study import Records, SearchStudy, open_storage, random_study
from spaces import Candidate
from tests.integration.test_search_loop import DENSE, SPACE, good, make_loop, run
from tests.property.test_front import measured

LADDER = (Plugin(name="recalibrate"), Plugin(name="finetune", params={"steps": 80}))


def timed(candidate: Candidate, fidelity: int) -> Evaluation:
    """The second rung turns the order at equal budgets around."""
    trend = 0.9 * (candidate.budget_macs / DENSE.macs) ** 0.3
    own = sum(abs(value) for _, value in candidate.offsets) * (0.1 if fidelity == 0 else -0.1)
    return Evaluation(
        status="complete",
        accuracy=trend - 0.1 + own,
        loss=1 - own,
        macs=candidate.budget_macs,
        params=round(1000 * trend),
        fidelity=fidelity,
        seed=0,
        seconds=2.0 + 3 * fidelity,
        timings={"plan": 0.5, "slim": 0.25, "proxy": 1.0 + 3 * fidelity},
    )


@pytest.fixture
def loop(tmp_path: Path) -> SearchLoop:
    made = make_loop(tmp_path / "study.journal", trials=40, num_rungs=2)
    run(made, timed)
    return made


def test_the_budget_makes_bad_proxies_look_good_and_equal_macs_do_not(loop: SearchLoop) -> None:
    first = proxy_report(loop.study, ladder=LADDER).comparisons[0]
    assert (first.cheap, first.dear) == ("recalibrate", "finetune steps=80")
    assert first.overall.num == sum(item.evaluation.fidelity == 1 for item in loop.measured()) >= 5
    assert first.overall.spearman is not None
    assert first.at_equal_macs.spearman is not None
    assert first.overall.spearman.value > 0.5
    assert first.at_equal_macs.spearman.value < -0.5


def test_shares_of_time_are_those_of_the_evaluations(loop: SearchLoop) -> None:
    report = proxy_report(loop.study, ladder=LADDER)
    rungs = [sum(item.evaluation.fidelity == rung for item in loop.measured()) for rung in (0, 1)]
    seconds = {stage.name: stage.seconds for stage in report.stages}
    assert seconds == pytest.approx(
        {
            "plan": 0.5 * sum(rungs),
            "slim": 0.25 * sum(rungs),
            "proxy: recalibrate": rungs[0],
            "proxy: finetune steps=80": 4 * rungs[1],
            "counting and the rest": 0.25 * rungs[0] + 0.25 * rungs[1],
        }
    )
    assert sum(stage.share for stage in report.stages) == pytest.approx(1)


def test_one_rung_is_compared_with_what_comes_free(tmp_path: Path) -> None:
    made = make_loop(tmp_path / "study.journal", trials=20)
    run(made, timed)
    report = proxy_report(made.study, ladder=LADDER[:1])
    assert [item.cheap for item in report.comparisons] == ["parameters kept", "loss on the same rung"]
    assert all(item.overall.num == 20 for item in report.comparisons)
    loss = report.comparisons[1].at_equal_macs.spearman
    assert loss is not None
    assert loss.value > 0.9
    assert [item.fidelity for item in report.curves] == [0]


def test_few_candidates_give_no_correlation(tmp_path: Path) -> None:
    made = make_loop(tmp_path / "study.journal", trials=4)
    run(made, timed)
    report = proxy_report(made.study, ladder=LADDER[:1])
    assert report.comparisons == ()
    assert report.overhead is None
    assert report.catches_up(0) is None


def test_random_search_stands_beside_it_and_is_in_no_front(loop: SearchLoop, tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "study.journal")
    study = SearchStudy(storage, name=random_study("test"), space=SPACE, dense=DENSE)
    study.use_sampler(RandomSampler(seed=7), seed=7)
    before = loop.measured()
    rival = SearchLoop(
        study=study,
        trials=15,
        num_rungs=2,
        rungs=loop.rungs,
        seed=0,
        dense_macs=DENSE.macs,
        plan_key=loop.plan_key,
        give_up_after=4,
    )
    run(rival, timed)
    records = Records(storage, name="test")
    assert list(records.measured()) == before
    assert records.num_finished() == 40
    report = proxy_report(records, ladder=LADDER)
    lengths = {(item.who, item.fidelity): len(item.values) for item in report.curves}
    assert lengths == {("search", 0): 40, ("random", 0): 15, ("search", 1): 40, ("random", 1): 15}
    values = {(item.who, item.fidelity): item.values for item in report.curves}
    caught = report.catches_up(0)
    assert caught is not None
    assert values["search", 0][caught - 1] >= values["random", 0][-1] > values["search", 0][caught - 2]
    page = proxy_section(report)
    assert "random search" in page
    assert "finetune steps=80" in page
    assert report.metrics()["final_hypervolume/random/recalibrate"] == values["random", 0][-1]


def test_a_curve_is_the_hypervolume_of_each_front() -> None:
    items = [measured(3, 0.5, 500), measured(0, 0.8, 900), measured(1, 0.4, 600), measured(2, 0.9, 700)]
    values = curve(items, fidelity=0, dense_macs=1000)
    assert values == pytest.approx((0.8 * 0.1, 0.4 * 0.4 + 0.4 * 0.1, 0.9 * 0.3 + 0.4 * 0.1, 0.9 * 0.3 + 0.5 * 0.2))
    assert curve(items, fidelity=1, dense_macs=1000) == (0, 0, 0, 0)


def test_waiting_workers_are_overhead_and_running_dry_is_not(tmp_path: Path) -> None:
    time = [0.0]
    made = make_loop(tmp_path / "study.journal", trials=3)
    made.study.open_session({"seed": 0})
    watch = Stopwatch(made, since=-2.0, tracking=lambda: 0.125, clock=lambda: time[0])
    made.listeners = (watch,)

    def answer(job: Job, *, at: float, seconds: float) -> None:
        time[0] = at
        good_one = good(job.candidate)
        made.answer(job, Evaluation(**{**good_one.to_dict(), "seconds": seconds}))
        made.release(job)

    first, second = made.next_job(), made.next_job()
    assert first is not None
    assert second is not None
    answer(first, at=5.0, seconds=4.0)  # began at 1: one second of start-up
    answer(second, at=9.0, seconds=8.0)
    time[0] = 9.0
    third = made.next_job()
    assert third is not None
    answer(third, at=20.0, seconds=11.0)
    made.end()
    (timings,) = proxy_report(made.study, ladder=LADDER[:1]).timings
    assert (timings.workers, timings.evaluations, timings.prepare, timings.start_up) == (2, 3, 2.0, 1.0)
    assert timings.window == 8.0
    assert timings.busy == 12.0
    assert timings.overhead == pytest.approx(0.25)  # one of two workers waited from 5 to 9
    assert timings.tracking == 0.125
    assert timings.ask > 0
    assert made.study.sessions()[0]["environment"] == {"seed": 0}


def test_rungs_have_names() -> None:
    assert [rung_name(fidelity, LADDER) for fidelity in range(3)] == [
        "recalibrate",
        "finetune steps=80",
        "final training",
    ]


@pytest.mark.usefixtures("ray_two_cpus")
def test_a_search_measures_its_baseline_and_everything_prints_it(tiny: Any, runs: Path) -> None:
    config = tiny(trials=7, baseline=5, workers={"count": 1})
    result = run_search(config, runs=runs, name="beside")
    assert len(result.measured) == 7
    assert result.report is not None
    assert {item.who: len(item.values) for item in result.report.curves} == {"search": 7, "random": 5}
    (timings,) = result.report.timings
    assert (timings.workers, timings.evaluations) == (1, 7)
    again = resume_search(result.folder, config)
    assert again.report is not None
    assert again.report.curves == result.report.curves
    printed, data = (
        CliRunner().invoke(app, ["front", str(result.folder.path), "--proxies", "--format", form]).stdout
        for form in ("table", "json")
    )
    assert json.loads(data)["comparisons"][0]["cheap"] == "parameters kept"
    for part in ("One rung", "parameters kept", "Where the evaluations' time went", "at 5 the search has"):
        assert part in printed
    refused = CliRunner().invoke(app, ["front", str(result.folder.path), "--proxies", "--format", "csv"])
    assert "can't hold a proxy report" in refused.stderr
