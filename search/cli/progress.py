"""What a search shows while it runs: a live panel on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.cli.tables import console, front_table
from search.front import Dense, Front, Measured
from search.loop import Job, SearchLoop
from search.targets import format_macs

if TYPE_CHECKING:
    from search.prepare import Prepared

_MOST_ROWS = 12


class Display:
    """Shows stages, then the search; a listener of its loop."""

    def __init__(self) -> None:
        self._console = console(err=True)
        self._stage = "starting"
        self._notes: list[str] = []
        self._loop: SearchLoop | None = None
        self._dense: Dense | None = None
        self._front: Front | None = None
        self._since: float | None = None
        self._answers = 0
        self._bad = 0
        self._last_bad = ""
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, what: str) -> None:
        """A new stage, or a warning."""
        self._stage = what
        if self._loop is not None and self._since is not None:
            self._notes = [*self._notes, what][-3:]
        if not self._console.is_terminal:
            self._console.print(what, highlight=False)

    def watch(self, prepared: "Prepared", loop: SearchLoop) -> "Display":
        """Listen to a loop."""
        self._loop, self._dense, self._front = loop, prepared.dense, loop.front()
        low, high = prepared.budget.low_macs, prepared.budget.high_macs
        budget = format_macs(low) if low == high else f"{format_macs(low)} to {format_macs(high)}"
        line = (
            f"{prepared.config.model.name}: {len(prepared.analysis.groups)} channel groups, "
            f"{format_macs(prepared.dense.macs)} MACs, {100 * prepared.dense.accuracy:.2f} % on the search split; "
            f"budget {budget} MACs"
        )
        self._console.print(line, highlight=False)
        chance = 1 / prepared.task.num_classes
        if prepared.dense.accuracy < 2 * chance and prepared.dense.accuracy < 0.5:
            text = "warning: the dense network is hardly better than chance; do its weights belong to these data?"
            self._console.print(text, highlight=False)
        return self

    def started(self, job: Job) -> None:
        """The clock runs from the first candidate."""
        self._since = self._since or time.monotonic()

    def evaluated(self, measured: Measured, *, trouble: str | None, front: Front, num_finished: int) -> None:
        """Show an answer."""
        self._front = front
        self._answers += 1
        if measured.evaluation.status != "complete":
            self._bad += 1
            self._last_bad = measured.evaluation.reason or ""
        if not self._console.is_terminal:
            self._console.print(self._line(measured, front, num_finished), highlight=False)

    def ended(self, loop: SearchLoop) -> None:
        """The stage after the search."""
        self._stage = "finishing"

    def _line(self, measured: Measured, front: Front, num_finished: int) -> str:
        assert self._loop is not None
        assert self._dense is not None
        head = f"{num_finished}/{self._loop.trials} trial {measured.number}"
        evaluation, candidate = measured.evaluation, measured.candidate
        if evaluation.status != "complete":
            return f"{head} {evaluation.status}: {evaluation.reason}"
        mark = "  *" if measured in front.members else ""
        names = [choice.name for choice in (candidate.allocator, candidate.method, candidate.step) if choice]
        rung = f" rung {evaluation.fidelity}" if self._loop.num_rungs > 1 else ""
        return (
            f"{head}{rung}: {100 * measured.accuracy:.2f} %, {format_macs(measured.macs)} MACs "
            f"({100 * measured.macs / self._dense.macs:.1f} %), {' '.join(names)}, "
            f"{evaluation.seconds:.1f} s{mark}"
        )

    def _render(self) -> RenderableType:
        if self._loop is None or self._front is None or self._dense is None or self._since is None:
            return Text(f"{self._stage} ...", style="dim")
        parts: list[RenderableType] = [self._head(self._loop)]
        if self._front.members:
            parts.append(front_table(self._front, dense=self._dense, title="", limit=_MOST_ROWS))
        if self._bad:
            parts.append(Text(f"{self._bad} without a result; the last: {self._last_bad}", style="yellow"))
        parts.extend(Text(note, style="yellow") for note in self._notes)
        return Group(*parts)

    def _head(self, loop: SearchLoop) -> RenderableType:
        assert self._front is not None
        done, running = loop.num_told, len(loop.live)
        head = Table.grid(padding=(0, 2))
        volume = f"hypervolume {self._front.hypervolume():.4f}"
        state = f"{done}/{loop.trials} done, {running} running, {volume}, {self._left(loop)}"
        head.add_row(ProgressBar(total=loop.trials, completed=done, width=30), state)
        return head

    def _left(self, loop: SearchLoop) -> str:
        """Time left, from the pace so far."""
        remaining = loop.trials - loop.num_told
        if remaining <= 0:
            return "measuring the front on the last rung" if loop.num_rungs > 1 else "finishing"
        if not self._answers or self._since is None:
            return "first candidates under way"
        seconds = (time.monotonic() - self._since) / self._answers * remaining
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
