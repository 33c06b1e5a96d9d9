"""Seconds of one draw from a study that holds thousands of answers."""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, create_trial

from benchmarks.tables import append_row
from evaluators.evaluation import Evaluation
from search.config import Plugin
from search.front import Dense
from search.samplers import SAMPLERS, build_sampler
from search.study import SearchStudy, open_storage
from spaces.space import PluginSpace, Space

ASKS = "asks.csv"
COUNTS = (100, 500, 2000)
REPEATS = 7
TOO_SLOW_SECONDS = 10.0
"""A draw that takes longer is the last one."""

DENSE = Dense(macs=1_000_000, params=1000, accuracy=0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRow:
    """A sampler at one size of the study; milliseconds of wall-clock time, and of the process in `cpu_ms`.

    Attributes:
        sampler: by name, at its defaults.
        storage: `memory` or `journal`.
        trials: answered ones in the study.
        parameters: of a candidate.
        first_ms: the first ask after a start, which reads the study.
        median_ms: of the next ones.
        worst_ms: of the next ones.
        cpu_ms: the median's counterpart.
        load: the machine's load average over one minute.
    """

    sampler: str
    storage: str
    trials: int
    parameters: int
    first_ms: float
    median_ms: float
    worst_ms: float
    cpu_ms: float
    load: float


def measure_asks(out: Path, *, num_parameters: int) -> None:
    """Add a row for every registered sampler, storage and number of trials to `out`."""
    space = layered_space(num_parameters - 1)
    for kind in ("memory", "journal"):
        for count in COUNTS:
            with tempfile.TemporaryDirectory() as folder:
                filled = Path(folder) / "filled.journal"
                if kind == "journal":
                    fill(open_storage(filled), space, count)
                for name in SAMPLERS.names():
                    copy = shutil.copy(filled, Path(folder) / f"{name}.journal") if kind == "journal" else None
                    storage = open_storage(copy) if copy else fill(InMemoryStorage(), space, count)
                    row = asked(name, storage, space, trials=count, kind=kind)
                    append_row(row, out / ASKS)
                    print(row)


def asked(sampler: str, storage: BaseStorage, space: Space, *, trials: int, kind: str) -> AskRow:
    """Ask and answer a few times."""
    study = SearchStudy(storage, name="filled", space=space, dense=DENSE)
    study.use_sampler(build_sampler(Plugin(name=sampler), seed=0), seed=0)
    wall, cpu = [], []
    for _ in range(1 + REPEATS):
        started, used = time.perf_counter(), time.process_time()
        proposal = study.ask(lambda candidate: candidate.key)
        wall.append(1e3 * (time.perf_counter() - started))
        cpu.append(1e3 * (time.process_time() - used))
        assert proposal is not None
        answer = Evaluation(status="complete", accuracy=0.5, loss=1.0, macs=500_000, fidelity=0, seed=0)
        study.tell(proposal.number, answer)
        if wall[-1] > 1e3 * TOO_SLOW_SECONDS:
            break
    later = wall[1:] or wall
    return AskRow(
        sampler=sampler,
        storage=kind,
        trials=trials,
        parameters=len(study.study.trials[-1].params),
        first_ms=wall[0],
        median_ms=float(np.median(later)),
        worst_ms=max(later),
        cpu_ms=float(np.median(cpu[1:] or cpu)),
        load=os.getloadavg()[0],
    )


def layered_space(num_places: int) -> Space:
    """A range of budgets and an offset for each of so many groups."""
    plugins = (PluginSpace(name=name, domains={}, defaults={}, fixed={}) for name in ("uniform", "l2"))
    allocator, method = plugins
    return Space(
        low_macs=300_000,
        high_macs=800_000,
        dense_macs=DENSE.macs,
        allocators=(allocator,),
        methods=(method,),
        places=tuple(f"group{number}" for number in range(num_places)),
    )


def fill(storage: BaseStorage, space: Space, count: int) -> BaseStorage:
    """Answers like a search's: accuracy rises with the budget and falls with offsets, with some noise."""
    study = SearchStudy(storage, name="filled", space=space, dense=DENSE)
    proposal = study.ask(lambda candidate: candidate.key)
    assert proposal is not None
    answer = Evaluation(status="complete", accuracy=0.5, loss=1.0, macs=500_000, fidelity=0, seed=0)
    study.tell(proposal.number, answer)
    pattern = study.study.trials[0]
    study.study.add_trials(list(synthetic(pattern, count - 1)))
    return storage


def synthetic(pattern: FrozenTrial, count: int) -> Iterator[FrozenTrial]:
    """Finished trials with the parameters of `pattern`."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        params = {}
        for name, found in pattern.distributions.items():
            assert isinstance(found, FloatDistribution)
            low, high = (math.log(found.low), math.log(found.high)) if found.log else (found.low, found.high)
            drawn = rng.uniform(low, high)
            params[name] = min(max(math.exp(drawn) if found.log else drawn, found.low), found.high)
        budget = params["budget"] if params["budget"] <= 1 else params["budget"] / DENSE.macs
        wasted = sum(value**2 for name, value in params.items() if name != "budget")
        accuracy = 0.9 * budget**0.3 - 0.05 * wasted + 0.01 * rng.standard_normal()
        yield create_trial(
            params=params,
            distributions=pattern.distributions,
            values=[float(np.clip(accuracy, 0, 1)), budget * DENSE.macs],
            user_attrs=pattern.user_attrs,
            constraints={"failed": 0.0},
        )
