"""Where a search's wall-clock time goes: workers at work, workers waiting, the driver's own work."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from search.front import Front, Measured
from search.loop import Job, SearchLoop


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds of one start of the driver.

    Attributes:
        workers: most candidates that were under way at once.
        prepare: data, dense network, analysis and evidence, up to the first candidate that was drawn.
        start_up: from there to the first evaluation that began: Ray, processes, placing the data. Once per search.
        window: from then to the moment at which the last candidate was handed out; after it workers run dry.
        busy: time of evaluations inside the window, summed over the workers.
        evaluations: that ended, in and after the window.
        ask: drawing candidates, turned into plans and written down.
        tell: writing answers down.
        tracking: processor seconds of the MLflow thread, which works beside the search.
    """

    workers: int
    prepare: float
    start_up: float
    window: float
    busy: float
    evaluations: int
    ask: float
    tell: float
    tracking: float

    @property
    def overhead(self) -> float:
        """Fraction of the workers' time in the window that they did not evaluate in."""
        available = self.workers * self.window
        return max(0.0, 1 - self.busy / available) if available > 0 else 0.0

    @property
    def lost(self) -> float:
        """The same in seconds of a worker."""
        return self.overhead * self.workers * self.window


class Stopwatch:
    """A listener of a loop that writes its timings into the study when the search ends.

    An evaluation is taken to have ended when the driver heard of it and begun its own seconds earlier.
    """

    def __init__(
        self,
        loop: SearchLoop,
        *,
        since: float,
        tracking: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start.

        Args:
            loop: to be timed; only what it hands out from now on counts.
            since: on `clock`, when the driver started.
            tracking: the MLflow thread's processor seconds so far.
            clock: seconds.
        """
        self._loop, self._since, self._tracking, self._clock = loop, since, tracking, clock
        self._workers = 0
        self._first: float | None = None
        self._last = 0.0
        self._intervals: list[tuple[float, float]] = []

    def started(self, job: Job) -> None:
        """A worker gets a candidate."""
        if job.first >= self._loop.num_rungs:
            return  # a training after the search
        now = self._clock()
        self._first = now if self._first is None else self._first
        self._last = now
        self._workers = max(self._workers, len(self._loop.live))

    def evaluated(self, measured: Measured, *, trouble: str | None, front: Front, num_finished: int) -> None:
        """An answer is there; those that no worker gave take no time."""
        evaluation = measured.evaluation
        if evaluation.seconds > 0 and evaluation.fidelity < self._loop.num_rungs:
            now = self._clock()
            self._intervals.append((now - evaluation.seconds, now))

    def ended(self, loop: SearchLoop) -> None:
        """Write it down."""
        timings = self.timings()
        if timings is not None:
            loop.study.close_session(asdict(timings))

    def timings(self) -> Timings | None:
        """So far; None before the first answer."""
        if not self._intervals or self._first is None:
            return None
        began = min(start for start, _ in self._intervals)
        end = max(began, self._last)
        seconds = self._loop.study.seconds
        return Timings(
            workers=self._workers,
            prepare=self._first - self._since,
            start_up=max(0.0, began - self._first),
            window=end - began,
            busy=sum(max(0.0, min(stop, end) - start) for start, stop in self._intervals),
            evaluations=len(self._intervals),
            ask=seconds["ask"],
            tell=seconds["tell"],
            tracking=self._tracking(),
        )
