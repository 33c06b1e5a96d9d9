"""Tracebacks of crashed trials, kept whole in the run's folder."""

from pathlib import Path

from search.front import Front, Measured
from search.loop import Job, SearchLoop


class TroubleWriter:
    """A listener that writes `trial-0007.txt` for a crash in trial 7."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def started(self, job: Job) -> None:
        """Nothing has gone wrong yet."""

    def evaluated(self, measured: Measured, *, trouble: str | None, front: Front, num_finished: int) -> None:
        """Keep the traceback, if there is one."""
        if trouble is not None:
            path = self._folder / f"trial-{measured.number:04d}.txt"
            path.write_text(f"{measured.candidate.to_json()}\n\n{trouble}", encoding="utf-8")

    def ended(self, loop: SearchLoop) -> None:
        """Remove what watchdogs of workers that were killed have left empty."""
        for path in self._folder.glob("hang-*.txt"):
            if path.stat().st_size == 0:
                path.unlink()
