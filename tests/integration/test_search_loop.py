"""Study and loop without Ray: budgets, repeats, failures, ladders, and going on after a crash."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler

from evaluators.evaluation import Evaluation
from search.front import Dense
from search.halving import Rungs
from search.journal import repair_journal, sole_driver
from search.loop import Job, SearchLoop
from search.opening import num_anchors
from search.study import Records, SearchStudy, open_storage
from spaces import Candidate, Float, PlanError, UserError
from spaces.space import PluginSpace, Space

DENSE = Dense(macs=1_000_000, params=1000, accuracy=0.9)
UNIFORM = PluginSpace(name="uniform", domains={}, defaults={}, fixed={})
L1 = PluginSpace(name="l1", domains={}, defaults={}, fixed={})
L2 = PluginSpace(name="l2", domains={"eps": Float(low=0.1, high=1)}, defaults={}, fixed={})
SPACE = Space(
    low_macs=300_000,
    high_macs=800_000,
    dense_macs=DENSE.macs,
    allocators=(UNIFORM,),
    methods=(L1, L2),
    places=("a", "b"),
)


def make_loop(
    path: Path, *, trials: int = 20, num_rungs: int = 1, space: Space = SPACE, **options: object
) -> SearchLoop:
    repair_journal(path)
    study = SearchStudy(open_storage(path), name="test", space=space, dense=DENSE)
    study.use_sampler(TPESampler(seed=trials), seed=trials)
    study.adopt_orphans()
    study.enqueue_anchors(SPACE.anchors(), limit=4)
    settings: dict[str, object] = {"plan_key": lambda candidate: candidate.key, "give_up_after": 4, **options}
    return SearchLoop(
        study=study,
        trials=trials,
        num_rungs=num_rungs,
        rungs=Rungs(reduction=3, similar=0.1),
        seed=0,
        dense_macs=DENSE.macs,
        **settings,
    )


def good(candidate: Candidate, fidelity: int = 0) -> Evaluation:
    offsets = sum(abs(value) for _, value in candidate.offsets)
    accuracy = 0.9 * (candidate.budget_macs / DENSE.macs) ** 0.3 - 0.1 * offsets + 0.05 * fidelity
    return Evaluation(
        status="complete", accuracy=accuracy, loss=1.0, macs=candidate.budget_macs, fidelity=fidelity, seed=0
    )


def run(
    loop: SearchLoop, answer: Callable[[Candidate, int], Evaluation] = good, *, stop_after: int = 10**9
) -> list[Job]:
    """Answer every job in the order asked; two are always under way."""
    jobs: list[Job] = []
    waiting: list[Job] = []
    while len(jobs) < stop_after:
        while len(waiting) < 2 and (job := loop.next_job()) is not None:
            waiting.append(job)
        if not waiting:
            assert loop.finished
            break
        job = waiting.pop(0)
        jobs.append(job)
        fidelity = job.first
        while loop.answer(job, answer(job.candidate, fidelity)):
            fidelity += 1
        loop.release(job)
    return jobs


def test_exactly_the_budget_anchors_first(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "study.journal")
    jobs = run(loop)
    assert len(jobs) == 20
    assert [job.candidate for job in jobs[:4]] == list(SPACE.anchors())[:4]
    assert len({job.candidate.key for job in jobs}) == 20
    assert loop.finished
    assert loop.stopped is None
    records = Records(open_storage(tmp_path / "study.journal"), name="test")
    assert list(records.measured()) == loop.measured()
    assert records.dense == DENSE


def test_going_on_after_a_crash_keeps_what_is_finished_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    first = make_loop(path)
    before = run(first, stop_after=7)
    under_way = first.live
    assert len(under_way) == 1
    with path.open("ab") as file:  # a line that a crash left unfinished, and the lock of the dead process
        file.write(b'{"op_code": 5, "trial')
    path.with_name(path.name + ".lock").symlink_to(path)
    second = make_loop(path)
    assert second.num_told == 7
    after = run(second)
    keys = [job.candidate.key for job in (*before, *after)]
    assert len(keys) == len(set(keys)) == 20
    assert under_way[0].candidate.key in {job.candidate.key for job in after}
    third = make_loop(path)
    assert third.finished
    assert third.next_job() is None


def test_more_trials_go_on_in_the_same_study(tmp_path: Path) -> None:
    run(make_loop(tmp_path / "study.journal", trials=10))
    loop = make_loop(tmp_path / "study.journal", trials=15)
    assert len(run(loop)) == 5
    assert loop.num_told == 15


def test_candidates_of_a_known_network_reach_no_worker(tmp_path: Path) -> None:
    def coarse(candidate: Candidate) -> str:
        return f"{candidate.method.name} {round(candidate.budget_macs, -5)}"

    loop = make_loop(tmp_path / "study.journal", trials=100, plan_key=coarse)
    jobs = run(loop)
    keys = [coarse(job.candidate) for job in jobs]
    assert len(keys) == len(set(keys)) == 12  # 2 methods, budgets 300k to 800k in steps of 100k
    assert loop.exhausted
    assert loop.finished


def test_refused_candidates_count_and_cost_no_worker(tmp_path: Path) -> None:
    def picky(candidate: Candidate) -> str:
        if candidate.method.name == "l2":
            raise PlanError("l2 can't")
        return candidate.key

    loop = make_loop(tmp_path / "study.journal", plan_key=picky, give_up_after=50)
    jobs = run(loop)
    refused = [item for item in loop.measured() if item.evaluation.status == "infeasible"]
    assert refused
    assert {item.evaluation.reason for item in refused} == {"l2 can't"}
    assert len(jobs) + len(refused) == 20
    states = {trial.state.name for trial in loop.study.study.trials}
    assert states <= {"COMPLETE", "FAIL"}


def test_failures_are_constraints_not_values(tmp_path: Path) -> None:
    def sometimes(candidate: Candidate, fidelity: int) -> Evaluation:
        if candidate.method.name == "l2":
            return Evaluation(status="failed", reason=f"diverged at {candidate.budget_macs}", fidelity=0, seed=0)
        return good(candidate, fidelity)

    loop = make_loop(tmp_path / "study.journal", give_up_after=50)
    run(loop, sometimes)
    trials = loop.study.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert len(trials) == 20
    assert {t.constraints["failed"] for t in trials if t.params["method"] == "l2"} == {1.0}
    assert {t.constraints["failed"] for t in trials if t.params["method"] == "l1"} == {0.0}
    assert all(item.candidate.method.name == "l1" for item in loop.front().members)


def test_the_same_failure_again_and_again_stops_the_search(tmp_path: Path) -> None:
    def broken(candidate: Candidate, fidelity: int) -> Evaluation:
        return Evaluation(status="failed", reason=f"bad value {candidate.budget_macs}", fidelity=0, seed=0)

    loop = make_loop(tmp_path / "study.journal")
    jobs = run(loop, broken)
    assert len(jobs) <= 6
    assert loop.stopped is not None
    assert "in a row failed alike: bad value" in loop.stopped


def test_a_lost_worker_is_an_answer_too(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "study.journal", trials=3)
    job = loop.next_job()
    assert job is not None
    loop.lost(job, "its worker process died")
    assert loop.num_told == 1
    run(loop)
    assert loop.num_told == 3
    assert [item.evaluation.reason for item in loop.measured() if item.number == job.number] == [
        "its worker process died"
    ]


def test_the_ladder_ends_with_a_front_of_one_fidelity(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "study.journal", trials=40, num_rungs=3)
    run(loop)
    measured = loop.measured()
    rungs = [sum(item.evaluation.fidelity == rung for item in measured) for rung in range(3)]
    assert rungs[0] == 40
    assert 0 < rungs[1] < 20, "about a third goes on"
    front = loop.front()
    assert front.fidelity == 2
    top = {item.number for item in measured if item.evaluation.fidelity == 2}
    first = {item.number for item in measured if item.evaluation.fidelity == 0}
    assert top <= first
    again = make_loop(tmp_path / "study.journal", trials=40, num_rungs=3)
    assert again.finished
    assert again.front() == front


def test_the_sampler_learns_from_the_first_rung_alone(tmp_path: Path) -> None:
    loop = make_loop(tmp_path / "study.journal", trials=12, num_rungs=2)
    run(loop)
    for trial in loop.study.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
        assert trial.values[0] == pytest.approx(good(Candidate.from_json(trial.user_attrs["candidate"])).accuracy)


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    with sole_driver(tmp_path), pytest.raises(UserError, match="is being searched by process"), sole_driver(tmp_path):
        pass
    with sole_driver(tmp_path):
        pass


def test_another_kind_of_study_is_refused(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    optuna.create_study(study_name="test", storage=storage, direction="minimize", sampler=RandomSampler())
    with pytest.raises(UserError, match="another kind of study"):
        SearchStudy(storage, name="test", space=SPACE, dense=DENSE)


def test_a_database_url_works_and_a_wrong_one_is_one_line(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'optuna.db'}")
    study = SearchStudy(storage, name="test", space=SPACE, dense=DENSE)
    study.enqueue_anchors(SPACE.anchors(), limit=3)
    proposal = study.ask(lambda candidate: candidate.key)
    assert proposal is not None
    study.tell(proposal.number, good(proposal.candidate))
    study.add(proposal.number, good(proposal.candidate, 1))
    assert [item.evaluation.fidelity for item in Records(storage, name="test").measured()] == [0, 1]
    with pytest.raises(UserError, match="storage"):
        open_storage("nosuchdatabase://x")
    with pytest.raises(UserError, match="holds nothing yet"):
        Records(storage, name="other")


@pytest.mark.parametrize(("trials", "anchors"), [(1, 1), (8, 2), (20, 5), (24, 5), (100, 20)])
def test_a_fifth_of_the_trials_are_anchors_and_more_of_a_short_search(trials: int, anchors: int) -> None:
    assert num_anchors(trials) == anchors
