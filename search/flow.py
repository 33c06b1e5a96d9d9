"""A whole search as a function: prepare, run on Ray, return the front. The command line is a thin layer above."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from pruners.step_budget import plan_before_step
from search.anchors import anchors
from search.config import Config
from search.front import Dense, Front, Measured
from search.halving import Rungs
from search.journal import repair_journal, sole_driver
from search.loop import Listener, SearchLoop
from search.prepare import Prepared, Say, ladder, prepare, quiet
from search.run_folder import RunFolder, create_run
from search.samplers import build_sampler
from search.study import PlanKey, Records, SearchStudy, open_storage
from search.targets import LatencyTarget, Target, format_macs
from search.tracking import Subject, Tracker
from search.troubles import TroubleWriter
from spaces import Candidate, UserError

__all__ = ["Prepared", "SearchResult", "pick", "prepare", "read_run", "resume_search", "run_search"]

ANCHOR_SHARE = 0.5
"""At most this share of the trials goes to known good points; the rest is the sampler's."""

Watch = Callable[[Prepared, SearchLoop], Listener]
"""Makes a listener once it is known what is searched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found.

    Attributes:
        folder: the run.
        config: what was asked.
        front: the front of one fidelity.
        measured: every evaluation.
        dense: the network it started from.
        finished: whether every trial was answered and every member of the front measured on the last rung.
        stopped: why it ended early, or None.
        trouble: the traceback behind `stopped`, or None.
        exhausted: whether the space has no further networks, so that fewer trials than asked were run.
    """

    folder: RunFolder
    config: Config
    front: Front
    measured: tuple[Measured, ...]
    dense: Dense
    finished: bool = True
    stopped: str | None = None
    trouble: str | None = None
    exhausted: bool = False


def run_search(
    config: Config,
    *,
    runs: Path = Path("runs"),
    name: str | None = None,
    watch: Sequence[Watch] = (),
    say: Say = quiet,
) -> SearchResult:
    """Search for the Pareto front of accuracy against MACs.

    Args:
        config: what to search; `search.config_file.load_config` reads one.
        runs: folder of all runs; the new run gets a folder in it.
        name: of the run; by default the configuration's.
        watch: makers of listeners, such as a progress display.
        say: hears of each stage and of warnings.

    Raises:
        UserError: a mistake of the user, before any worker starts.
    """
    folder = create_run(config, runs=runs, name=name)
    try:
        return _search(folder, config, watch=watch, say=say)
    except BaseException:
        _drop_if_empty(folder)
        raise


def resume_search(folder: RunFolder, config: Config, *, watch: Sequence[Watch] = (), say: Say = quiet) -> SearchResult:
    """Go on with a search after anything: what is finished stays, what was under way is run once more.

    Args:
        folder: of the run.
        config: of the run, perhaps with more trials or other workers (`search.run_folder.check_resumable`).
        watch: as in `run_search`.
        say: as in `run_search`.

    Raises:
        UserError: another process is at it, or a mistake of the user.
    """
    return _search(folder, config, watch=watch, say=say)


def read_run(folder: RunFolder) -> SearchResult:
    """What a run has found so far, from its study alone; nothing is computed or started.

    Raises:
        UserError: the run has no study yet.
    """
    config = folder.config()
    records = Records(open_storage(folder.storage(config)), name=folder.name)
    measured = tuple(records.measured())
    front = Front.settled(measured, dense_macs=records.dense.macs, with_latency=config.latency.objective)
    finished = records.num_finished() >= config.trials
    return SearchResult(
        folder=folder, config=config, front=front, measured=measured, dense=records.dense, finished=finished
    )


def pick(result: SearchResult, target_flops: str, target_latency: str | None = None) -> Measured:
    """The most accurate network of the front that meets its budgets; of a range, its upper end.

    Raises:
        UserError: a budget can't be read, or no member meets it.
    """
    if target_latency is not None:
        return _pick_both(result, target_flops, target_latency)
    budget = Target.parse(target_flops, key="--target-flops").high.macs(result.dense.macs)
    best = result.front.best_under(budget)
    if best is None and not result.front.members:
        raise UserError("run", result.folder.name, "its front is empty; `paretoprune search --resume` goes on with it")
    if best is None:
        least = result.front.members[0].macs
        rule = (
            f"is {format_macs(budget)} MACs, less than the smallest network that this run found: "
            f"{format_macs(least)}, {least / result.dense.macs:.3f} of dense"
        )
        raise UserError("--target-flops", target_flops, rule)
    return best


def _pick_both(result: SearchResult, target_flops: str, target_latency: str) -> Measured:
    """The most accurate network within both budgets, of all that were measured like the front's members."""
    dense, key = result.dense, "--target-latency"
    if dense.latency_ms is None:
        raise UserError(key, target_latency, "this run has no latencies; it had neither a table nor a target_latency")
    limit_ms = LatencyTarget.parse(target_latency, key=key).milliseconds(dense.latency_ms)
    macs = Target.parse(target_flops, key="--target-flops").high.macs(dense.macs)
    # a slower network may dominate a faster one that alone is within the budget
    fidelity = result.front.fidelity
    front = Front.of(result.measured, dense_macs=dense.macs, fidelity=fidelity, with_latency=True)
    best = front.best_under(macs, limit_ms=limit_ms)
    if best is None:
        least = min((item.latency_ms for item in front.members if item.macs <= macs), default=math.inf)
        found = f"takes {least:.3g} ms" if least < math.inf else "is larger still"
        rule = f"with at most {format_macs(macs)} MACs: the fastest network that this run found {found}"
        raise UserError(key, f"{target_latency} ({limit_ms:.3g} ms)", rule)
    return best


def plan_key(prepared: Prepared) -> PlanKey:
    """Names the network of a candidate: equal keys, equal networks and so equal answers."""

    def key(candidate: Candidate) -> str:
        plan = plan_before_step(candidate, prepared.analysis, prepared.evidence)
        rest = json.loads(candidate.to_json())
        # With training between rounds, or a change after cutting, the plan alone does not decide the network.
        kept = ("step", "rounds", "method", "allocator") if candidate.rounds > 1 else ("step", "rounds")
        text = json.dumps([plan.to_json(), {name: rest[name] for name in kept}], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    return key


def _search(folder: RunFolder, config: Config, *, watch: Sequence[Watch], say: Say) -> SearchResult:
    with sole_driver(folder.path):
        repair_journal(folder.study_file)
        folder.write_config(config)
        prepared = prepare(config, folder=folder.path, known=_known_dense(folder, config), say=say)
        loop = _open_loop(folder, prepared)
        loop.listeners = (TroubleWriter(folder.troubles), *(make(prepared, loop) for make in watch))
        if config.tracking.enabled:
            loop.listeners += (_tracker(folder, prepared, say),)
        try:
            _drive(folder, prepared, loop, say=say)
        finally:
            loop.end()
    return SearchResult(
        folder=folder,
        config=config,
        front=loop.front(),
        measured=tuple(loop.measured()),
        dense=prepared.dense,
        finished=loop.finished and loop.stopped is None,
        stopped=loop.stopped,
        trouble=loop.trouble,
        exhausted=loop.exhausted,
    )


def _known_dense(folder: RunFolder, config: Config) -> Dense | None:
    """The dense network, where an earlier start of the run has measured it."""
    if config.storage is None and not folder.study_file.exists():
        return None  # opening a journal would make it
    try:
        return Records(open_storage(folder.storage(config)), name=folder.name).dense
    except (UserError, KeyError):
        return None


def _open_loop(folder: RunFolder, prepared: Prepared) -> SearchLoop:
    config = prepared.config
    storage = open_storage(folder.storage(config))
    objective = config.latency.objective
    study = SearchStudy(storage, name=folder.name, space=prepared.space, dense=prepared.dense, with_latency=objective)
    # A sampler that starts again with its old seed would draw its old candidates again.
    seed = config.seed + len(study.study.get_trials(deepcopy=False))
    study.use_sampler(build_sampler(config.sampler, seed=seed), seed=seed)
    study.adopt_orphans()
    known = anchors(prepared.space, prepared.analysis, prepared.evidence)
    study.enqueue_anchors(known, limit=max(1, int(ANCHOR_SHARE * config.trials)))
    return SearchLoop(
        study=study,
        plan_key=plan_key(prepared),
        trials=config.trials,
        num_rungs=len(config.ladder),
        rungs=Rungs(reduction=config.halving.reduction, similar=config.halving.similar),
        give_up_after=config.give_up_after,
        seed=config.seed,
        dense_macs=prepared.dense.macs,
        with_latency=objective,
    )


def _drive(folder: RunFolder, prepared: Prepared, loop: SearchLoop, *, say: Say) -> None:
    if loop.finished:
        return
    say("starting workers")
    from search.runtime.driver import drive
    from search.runtime.payload import Payload
    from search.runtime.session import ray_session

    config = prepared.config
    on_cluster = config.workers.address is not None and config.device != "cpu"
    use_gpu = prepared.task.device.type == "cuda" or on_cluster
    with ray_session(config.workers, use_gpu=use_gpu) as slots:
        payload = Payload(
            task=prepared.spec,
            splits=prepared.splits,
            analysis=prepared.analysis,
            evidence=prepared.evidence,
            ladder=ladder(config),
            seed=config.seed,
            threads=slots.cpus,
            timeout_seconds=config.workers.timeout_seconds,
            hangs=str(folder.troubles),
            weights=_weights(prepared) if config.workers.address is not None else None,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        drive(loop, payload, slots=slots, max_failures=config.workers.max_failures, folder=folder.ray)


def _weights(prepared: Prepared) -> bytes | None:
    """Content of the dense network's file: other machines of a cluster need not see the path."""
    path = prepared.spec.model.weights
    return None if path is None else Path(path).read_bytes()


def _tracker(folder: RunFolder, prepared: Prepared, say: Say) -> Tracker:
    return Tracker(prepared.config.tracking, subject(folder, prepared.config, prepared.dense), warn=say)


def subject(folder: RunFolder, config: Config, dense: Dense) -> Subject:
    """What MLflow is told of a run."""
    params = {
        "model": config.model.name,
        "data": config.data.name,
        "target_flops": config.target_flops,
        "trials": config.trials,
        "preset": config.space.preset,
        "sampler": config.sampler.name,
        "ladder": ", ".join(rung.name for rung in config.ladder),
        "seed": config.seed,
        "dense_macs": dense.macs,
        "dense_params": dense.params,
        "dense_accuracy": dense.accuracy,
    }
    return Subject(name=folder.name, search_id=folder.search_id, runs=folder.path.parent, dense=dense, params=params)


def _drop_if_empty(folder: RunFolder) -> None:
    """A mistake in the configuration leaves no run behind."""
    if not folder.study_file.exists():
        for path in (
            folder.config_file,
            folder.identity_file,
            folder.latency_file,
            folder.path / "driver.lock",
            *folder.path.glob("base-*.safetensors"),
        ):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            folder.troubles.rmdir()
            folder.path.rmdir()
