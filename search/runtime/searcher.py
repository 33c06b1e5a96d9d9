"""The bridge from the search loop to Ray Tune's searcher interface."""

from typing import Any

from ray.tune.search import Searcher

from search.finals import FinalLoop
from search.loop import Job, SearchLoop


class StudySearcher(Searcher):  # type: ignore[misc]
    """Hands out the loop's jobs as Tune trials.

    Tune's own OptunaSearch leaves trials without a finite answer running for ever, tells stopped ones as complete and
    duplicates trials on restore.
    """

    def __init__(self, loop: SearchLoop | FinalLoop) -> None:
        super().__init__()
        self.loop = loop
        self.jobs: dict[str, Job] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration; None asks Tune to come back later."""
        job = self.loop.next_job()
        if job is None:
            return str(Searcher.FINISHED) if self.loop.finished else None
        self.jobs[trial_id] = job
        return {"number": job.number, "candidate": job.candidate.to_json(), "first": job.first}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The answer itself was taken by the scheduler; here the trial leaves, or was lost."""
        job = self.jobs.pop(trial_id, None)
        if job is None:
            return
        if error or result is None:
            self.loop.lost(job, "its worker process died or hung, every time it was tried")
        else:
            self.loop.release(job)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the record, and resuming starts a new Tuner on it."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see `save`."""

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its parts for a restore that we never do; the open study can't be pickled."""
        return {}
