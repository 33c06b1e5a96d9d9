"""A whole search as a function: prepare, run on Ray, return the front. The command line is a thin layer above."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.config import Config
from search.driving import drive_all
from search.environment import current_environment
from search.front import Dense, Front, Measured
from search.journal import repair_journal, sole_driver
from search.loop import Listener, SearchLoop
from search.opening import open_loop
from search.prepare import Prepared, Say, prepare, quiet
from search.proxy_report import ProxyReport, proxy_report
from search.run_folder import RunFolder, create_run
from search.stopwatch import Stopwatch
from search.study import Records, open_storage
from search.tracking import Subject, Tracker
from search.troubles import TroubleWriter
from spaces import UserError

__all__ = ["Prepared", "SearchResult", "prepare", "read_run", "resume_search", "run_search"]

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
        report: what the search says about its own rungs, time and luck.
        environment: versions, device and seed of the last start.
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
    report: ProxyReport | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)


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
    return SearchResult(
        folder=folder,
        config=config,
        front=front,
        measured=measured,
        dense=records.dense,
        finished=records.num_finished() >= config.trials,
        report=proxy_report(records, ladder=config.ladder),
        environment=_environment(records),
    )


def _environment(records: Records) -> Mapping[str, Any]:
    """Of the last start; older runs have none."""
    sessions = records.sessions()
    return sessions[-1]["environment"] if sessions else {}


def _search(folder: RunFolder, config: Config, *, watch: Sequence[Watch], say: Say) -> SearchResult:
    started = time.monotonic()
    with sole_driver(folder.path):
        repair_journal(folder.study_file)
        folder.write_config(config)
        prepared = prepare(config, folder=folder.path, known=_known_dense(folder, config), say=say)
        loop = open_loop(folder, prepared)
        loop.study.open_session(current_environment(prepared.task.device, seed=config.seed))
        tracker = _tracker(folder, prepared, loop, say) if config.tracking.enabled else None
        stopwatch = Stopwatch(loop, since=started, tracking=lambda: tracker.seconds if tracker else 0.0)
        # the tracker's report holds what the stopwatch writes when all ends
        watching = (*(make(prepared, loop) for make in watch), *([tracker] if tracker else ()))
        loop.listeners = (TroubleWriter(folder.troubles), stopwatch, *watching)
        try:
            drive_all(folder, prepared, loop, say=say)
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
        report=proxy_report(loop.study, ladder=config.ladder),
        environment=_environment(loop.study),
    )


def _known_dense(folder: RunFolder, config: Config) -> Dense | None:
    """The dense network, where an earlier start of the run has measured it."""
    if config.storage is None and not folder.study_file.exists():
        return None  # opening a journal would make it
    try:
        return Records(open_storage(folder.storage(config)), name=folder.name).dense
    except (UserError, KeyError):
        return None


def _tracker(folder: RunFolder, prepared: Prepared, loop: SearchLoop, say: Say) -> Tracker:
    about = subject(folder, prepared.config, prepared.dense, environment=_environment(loop.study))
    return Tracker(prepared.config.tracking, about, warn=say)


def subject(folder: RunFolder, config: Config, dense: Dense, *, environment: Mapping[str, Any]) -> Subject:
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
    return Subject(
        name=folder.name,
        search_id=folder.search_id,
        runs=folder.path.parent,
        dense=dense,
        params=params,
        ladder=config.ladder,
        environment=environment,
    )


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
