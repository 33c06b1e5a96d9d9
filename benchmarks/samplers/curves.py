"""Searches with several samplers on one network, and the hypervolume of each after every evaluation."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.in_process import drive_in_process
from benchmarks.tables import append_row
from evaluators.evaluation import Evaluation
from evaluators.worker import Evaluator
from search.baseline import random_loop
from search.config import Plugin
from search.front import Front, Measured
from search.loop import Job, SearchLoop
from search.opening import open_loop, plan_key
from search.prepare import Prepared
from search.recipes import ladder
from search.run_folder import create_run
from search.study import PlanKey
from spaces import Candidate

RUNS = "runs.csv"
ALONE = "random-alone"
"""Random search without anchors; the sampler `random` gets the same ones as all others."""

_EVALUATION_SEED = 0
"""The same for all searches, whatever the seeds of their samplers: equal networks then get equal answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One evaluation of one search.

    Attributes:
        sampler: who drew it, or `ALONE`.
        seed: of the sampler.
        evaluation: its number, from 1.
        role: `anchor`, or `sampled`.
        accuracy: on the search split, in [0, 1]; not a number of a failed one.
        macs: multiply-adds of one input.
        budget: the MACs that the candidate asked for.
        hypervolume: of the front so far, in [0, 1].
    """

    sampler: str
    seed: int
    evaluation: int
    role: str
    accuracy: float
    macs: int
    budget: int
    hypervolume: float


class Remembering:
    """An evaluator that measures no network twice, and keeps its answers in a file between calls."""

    def __init__(self, prepared: Prepared, path: Path) -> None:
        config = prepared.config
        self._evaluator = Evaluator(
            prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, ladder(config)
        )
        self._name: PlanKey = plan_key(prepared)
        asked = config.model_dump_json(include={"model", "weights", "data", "train", "precision", "ladder"})
        self._prefix = hashlib.sha256(asked.encode()).hexdigest()[:8]
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._known = {key: Evaluation.from_dict(found) for key, found in map(json.loads, lines)}

    def evaluate(self, candidate: Candidate, *, fidelity: int, seed: int) -> Evaluation:
        """As the evaluator, which is asked for the first candidate of each network alone."""
        key = f"{self._prefix}/{seed}/{fidelity}/{self._name(candidate)}"
        if key not in self._known:
            self._known[key] = self._evaluator.evaluate(candidate, fidelity=fidelity, seed=seed)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self._known[key].to_dict()]) + "\n")
        return self._known[key]


class Recorder:
    """Listens to a loop and writes a row per evaluation."""

    def __init__(self, path: Path, *, sampler: str, seed: int, num_anchors: int) -> None:
        self._path, self._sampler, self._seed, self._num_anchors = path, sampler, seed, num_anchors

    def started(self, job: Job) -> None:
        """Nothing."""

    def evaluated(self, measured: Measured, *, trouble: str | None, front: Front, num_finished: int) -> None:
        """One more row."""
        step = Step(
            sampler=self._sampler,
            seed=self._seed,
            evaluation=num_finished,
            role="anchor" if num_finished <= self._num_anchors else "sampled",
            accuracy=measured.accuracy,
            macs=measured.macs,
            budget=measured.candidate.budget_macs,
            hypervolume=front.hypervolume(),
        )
        append_row(step, self._path)

    def ended(self, loop: SearchLoop) -> None:
        """Nothing."""


def search(name: str, *, seed: int, prepared: Prepared, evaluator: Remembering, work: Path, out: Path) -> None:
    """One search with the sampler `name`; a row per evaluation is added to `out`'s table.

    Args:
        name: a sampler, at its defaults; or `ALONE`.
        seed: of the sampler.
        prepared: network, data and space; the same for all.
        evaluator: answers; the same for all.
        work: the studies' folder.
        out: the table's folder.
    """
    plugin = Plugin(name="random" if name == ALONE else name)
    config = prepared.config.model_copy(update={"sampler": plugin, "seed": seed, "baseline": prepared.config.trials})
    mine = replace(prepared, config=config)
    loop = open_loop(create_run(config, runs=work, name=None), mine)
    if name == ALONE:
        loop = random_loop(loop.study, mine, plan_key(mine))
    waiting = sum(trial.state.name == "WAITING" for trial in loop.study.study.get_trials(deepcopy=False))
    loop.listeners = (Recorder(out / RUNS, sampler=name, seed=seed, num_anchors=waiting),)
    drive_in_process(loop, evaluator, seed=_EVALUATION_SEED)


def missing(names: Sequence[str], seeds: int, steps: Sequence[Step], *, trials: int) -> list[tuple[str, int]]:
    """Samplers and seeds whose searches have not run to their end, seed by seed."""
    done = {(step.sampler, step.seed) for step in steps if step.evaluation >= trials}
    return [(name, seed) for seed in range(seeds) for name in names if (name, seed) not in done]
