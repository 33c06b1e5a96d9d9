"""Real searches through Ray, and where their wall-clock time went."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.tables import append_row
from search.config import Config
from search.flow import run_search
from search.proxy_report import rung_name

SEARCHES = "searches.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """One search; seconds of wall-clock time unless said otherwise.

    Attributes:
        label: what was searched.
        workers: processes that evaluated.
        candidates: that were drawn.
        evaluations: on all rungs.
        total: the whole call.
        prepare: data, dense network, evidence.
        start_up: Ray and the workers, until the first evaluation began.
        window: from then until the last candidate was handed out.
        busy: of the workers, evaluating, within the window.
        evaluation: mean of one.
        ending: the last evaluations and everything after them.
        ask: of the driver.
        tell: of the driver.
        tracking: processor seconds of the MLflow thread.
        load_before: the machine's load average over one minute.
        load_after: likewise.
    """

    label: str
    workers: int
    candidates: int
    evaluations: int
    total: float
    prepare: float
    start_up: float
    window: float
    busy: float
    evaluation: float
    ending: float
    ask: float
    tell: float
    tracking: float
    load_before: float
    load_after: float

    @property
    def overhead(self) -> float:
        """Fraction of the workers' time in the window in which they waited."""
        return max(0.0, 1 - self.busy / (self.workers * self.window))


def measure_search(config: Config, *, label: str, out: Path) -> None:
    """Search in a folder that is removed afterwards, and add a row to `out`."""
    load_before = os.getloadavg()[0]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as runs:
        result = run_search(config, runs=Path(runs), say=print)
        total = time.perf_counter() - started
    if result.report is None or not result.report.timings:
        raise RuntimeError(f"the search ended without timings: {result.stopped}")
    found = result.report.timings[-1]
    ladder = ", ".join(rung_name(fidelity, config.ladder) for fidelity in range(len(config.ladder)))
    row = SearchRow(
        label=label or f"{config.model.name}: {ladder}",
        workers=found.workers,
        candidates=len({item.number for item in result.measured}),
        evaluations=found.evaluations,
        total=total,
        prepare=found.prepare,
        start_up=found.start_up,
        window=found.window,
        busy=found.busy,
        evaluation=fmean(item.evaluation.seconds for item in result.measured if item.evaluation.seconds > 0),
        ending=total - found.prepare - found.start_up - found.window,
        ask=found.ask,
        tell=found.tell,
        tracking=found.tracking,
        load_before=load_before,
        load_after=os.getloadavg()[0],
    )
    append_row(row, out / SEARCHES)
