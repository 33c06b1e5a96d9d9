"""Recording a search in MLflow from a thread of its own: MLflow away or broken never stops or slows the search."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from search.config import Plugin, Tracking
from search.front import Dense, Front, Measured
from search.loop import Job, SearchLoop
from search.pages import write_pages
from search.proxy_report import ProxyReport, proxy_report

if TYPE_CHECKING:
    from search.tracking_mlflow import MlflowSearch

_GIVE_UP_AFTER = 3
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is recorded: the run, what it started from, and with what versions and devices it ran."""

    name: str
    search_id: str
    runs: Path
    dense: Dense
    params: Mapping[str, Any]
    ladder: Sequence[Plugin] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)


def tracking_uri(settings: Tracking, *, runs: Path) -> str:
    """Where MLflow keeps its records for this configuration."""
    return settings.uri or f"sqlite:///{(runs / 'mlflow.db').resolve()}"


def open_mlflow(settings: Tracking, subject: Subject) -> "MlflowSearch":
    """The MLflow side of a search, made where it is missing."""
    from search.tracking_mlflow import MlflowSearch

    uri = tracking_uri(settings, runs=subject.runs)
    mlflow = MlflowSearch(
        uri=uri, experiment=settings.experiment, runs=subject.runs, name=subject.name, search_id=subject.search_id
    )
    mlflow.describe(subject.params, note=_note(subject), environment=subject.environment)
    return mlflow


def write_summary(
    mlflow: "MlflowSearch",
    subject: Subject,
    *,
    front: Front,
    measured: list[Measured],
    report: ProxyReport | None = None,
) -> None:
    """The front as an interactive page, a picture and tables, and the proxy report, attached to the parent run."""
    with TemporaryDirectory() as folder:
        files = write_pages(
            Path(folder), title=subject.name, front=front, measured=measured, dense=subject.dense, report=report
        )
        mlflow.attach(files, folder="pareto")
    mlflow.table(front.rows(), name="pareto/table.json")
    if report is not None:
        mlflow.figures(report.metrics())


class Tracker:
    """A listener that hands everything to its thread and returns at once."""

    def __init__(self, settings: Tracking, subject: Subject, *, warn: Callable[[str], None]) -> None:
        """Start recording.

        Args:
            settings: where to.
            subject: the search.
            warn: told once when MLflow fails; the study has everything, `paretoprune sync` makes up for it.
        """
        self._settings, self._subject, self._warn = settings, subject, warn
        self._mlflow: MlflowSearch | None = None
        self._failures = 0
        self._queue: queue.SimpleQueue[Callable[[MlflowSearch], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()
        self.seconds = 0.0

    def started(self, job: Job) -> None:
        """Nothing: runs are made when there is something to record, so that none stays open."""

    def evaluated(self, measured: Measured, *, trouble: str | None, front: Front, num_finished: int) -> None:
        """Record one evaluation and the front as it is now."""
        dense = self._subject.dense

        def record(mlflow: "MlflowSearch") -> None:
            mlflow.add(measured, dense_macs=dense.macs, dense_params=dense.params)
            mlflow.mark(front)
            mlflow.curve(front, num_finished=num_finished)

        self._queue.put(record)

    def ended(self, loop: SearchLoop) -> None:
        """Write the summary and wait a little for what is under way."""
        front, measured = loop.front(), loop.measured()
        report = proxy_report(loop.study, ladder=self._subject.ladder)
        status = "FINISHED" if loop.finished and loop.stopped is None else "KILLED"

        def finish(mlflow: "MlflowSearch") -> None:
            write_summary(mlflow, self._subject, front=front, measured=measured, report=report)
            mlflow.close(status)

        self._queue.put(finish)
        self._queue.put(None)
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            self._warn(f"MLflow is slow; `paretoprune sync {self._subject.name}` completes its view")

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            if self._failures < _GIVE_UP_AFTER:
                self._try(task)
            self.seconds = time.thread_time()

    def _try(self, task: "Callable[[MlflowSearch], None]") -> None:
        try:
            if self._mlflow is None:
                self._mlflow = open_mlflow(self._settings, self._subject)
            task(self._mlflow)
            self._failures = 0
        except Exception as error:  # Whatever MLflow, its database or its server raise, the search goes on.
            self._failures += 1
            if self._failures == _GIVE_UP_AFTER:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                name = self._subject.name
                self._warn(f"MLflow does not answer ({reason}); `paretoprune sync {name}` completes its view later")


def sync(
    settings: Tracking,
    subject: Subject,
    *,
    front: Front,
    measured: list[Measured],
    status: str,
    report: ProxyReport | None = None,
) -> str:
    """Make the MLflow view of a search again from its study; what is there already stays.

    Args:
        settings: where MLflow is.
        subject: the search.
        front: the front to show.
        measured: every evaluation.
        status: of the parent run: FINISHED, or KILLED while the search is not over.
        report: the proxy report, where there is one.

    Returns:
        The experiment's id.
    """
    mlflow = open_mlflow(settings, subject)
    for item in measured:
        mlflow.add(item, dense_macs=subject.dense.macs, dense_params=subject.dense.params)
    mlflow.mark(front)
    first = [item for item in measured if item.evaluation.fidelity == 0]
    for count in range(1, len(first) + 1):
        mlflow.curve(Front.of(first[:count], dense_macs=front.dense_macs, fidelity=0), num_finished=count)
    mlflow.curve(front, num_finished=len(first))
    write_summary(mlflow, subject, front=front, measured=measured, report=report)
    mlflow.close(status)
    return mlflow.experiment_id


def _note(subject: Subject) -> str:
    return (
        f"**{subject.name}**: Pareto search of accuracy against MACs.\n\n"
        f"Dense network: {subject.dense.macs:,} MACs, {subject.dense.params:,} parameters, "
        f"accuracy {subject.dense.accuracy:.4f} on the search split.\n\n"
        "`pareto/front.html` among the artifacts is the interactive front; it works without a network."
    )
