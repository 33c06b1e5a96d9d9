"""One worker, one seed: the same search bit for bit, and a record of what it ran with."""

import platform
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from benchmarks.in_process import drive_in_process
from evaluators.worker import Evaluator
from search.anchors import anchors
from search.config import Config
from search.flow import read_run, run_search
from search.halving import Rungs
from search.loop import SearchLoop
from search.opening import plan_key
from search.prepare import prepare
from search.recipes import ladder
from search.samplers import build_sampler
from search.study import Records, SearchStudy, open_storage

CLOCK = ("seconds", "timings")
TWO_RUNGS = [{"proxy": "recalibrate", "num_samples": 64}, {"proxy": "finetune", "steps": 3, "num_samples": 64}]


def searched_in_process(config: Config, folder: Path) -> Records:
    """The search without Ray: the same loop, study, sampler and evaluator."""
    folder.mkdir()
    prepared = prepare(config, folder=folder)
    storage = open_storage(folder / "study.journal")
    study = SearchStudy(storage, name="run", space=prepared.space, dense=prepared.dense)
    study.use_sampler(build_sampler(config.sampler, seed=config.seed), seed=config.seed)
    study.enqueue_anchors(anchors(prepared.space, prepared.analysis, prepared.evidence), limit=4)
    loop = SearchLoop(
        study=study,
        plan_key=plan_key(prepared),
        trials=config.trials,
        num_rungs=2,
        rungs=Rungs(reduction=3, similar=0.3),
        give_up_after=3,
        seed=config.seed,
        dense_macs=prepared.dense.macs,
    )
    evaluator = Evaluator(prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, ladder(config))
    drive_in_process(loop, evaluator, seed=config.seed)
    return study


def facts(study: optuna.Study) -> list[dict[str, Any]]:
    """Everything that a study holds but when it was and how long it took."""
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "params": trial.params,
            "values": trial.values,
            "constraints": trial.constraints,
            **{name: timeless(value) for name, value in trial.user_attrs.items()},
        }
        for trial in study.get_trials(deepcopy=False)
    ] + [{name: timeless(value)} for name, value in study.user_attrs.items() if not name.startswith("session/")]


def timeless(value: Any) -> Any:
    """A record without its seconds."""
    return {key: part for key, part in value.items() if key not in CLOCK} if isinstance(value, dict) else value


@pytest.mark.parametrize("sampler", ["evolution", "tpe"])
def test_a_search_in_process_repeats_bit_for_bit(tiny: Any, tmp_path: Path, sampler: str) -> None:
    config = tiny(trials=14, ladder=TWO_RUNGS, sampler={"name": sampler, "startup": 5}, workers={"count": 1})
    first, second = (searched_in_process(config, tmp_path / name) for name in ("first", "second"))
    assert facts(first.study) == facts(second.study)
    assert {item.evaluation.fidelity for item in first.measured()} == {0, 1}
    assert len({item.accuracy for item in first.measured()}) > 3
    other = searched_in_process(config.model_copy(update={"seed": 1}), tmp_path / "other")
    assert facts(other.study) != facts(first.study)


@pytest.mark.usefixtures("ray_two_cpus")
def test_a_search_through_ray_repeats_bit_for_bit_and_says_what_it_ran_with(tiny: Any, runs: Path) -> None:
    sampler = {"name": "evolution", "startup": 4}
    config = tiny(trials=8, ladder=TWO_RUNGS, sampler=sampler, workers={"count": 1})
    first, second = (run_search(config, runs=runs) for _ in range(2))
    records = [Records(open_storage(result.folder.study_file), name=result.folder.name) for result in (first, second)]
    assert facts(records[0].study) == facts(records[1].study)
    assert first.environment == second.environment == read_run(first.folder).environment
    assert first.environment["torch"] == torch.__version__
    assert first.environment["optuna"] == optuna.__version__
    assert first.environment["python"] == platform.python_version()
    assert {"ray", "paretoprune", "numpy", "platform", "device"} <= first.environment.keys()
    assert {item.evaluation.device for item in first.measured} == {first.environment["device"]}
    assert first.environment["seed"] == config.seed == first.measured[0].evaluation.seed
    assert first.folder.config() == second.folder.config()
