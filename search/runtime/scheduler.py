"""The ladder as a Ray Tune scheduler: after every rung a trial goes on or is stopped."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from evaluators.evaluation import Evaluation
from search.runtime.searcher import StudySearcher


class LadderScheduler(FIFOScheduler):  # type: ignore[misc]
    """Takes every answer to the loop and does what it says.

    Tune's schedulers compare one metric; the loop ranks trials of similar MACs by non-dominance (`search.halving`).
    Trials are stopped, never paused: a pause writes a checkpoint, 0.3 s, and waiting trials can lock a search that has
    a budget.
    """

    _supports_buffered_results = False

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def set_search_properties(self, metric: str | None, mode: str | None, **_: Any) -> bool:
        """There are two objectives, and Tune knows neither."""
        return True

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record the answer and decide."""
        loop = self._searcher.loop
        job = self._searcher.jobs.get(trial.trial_id)
        if job is None:
            return str(self.STOP)
        trouble = result.get("traceback")
        if "crash" in result:
            evaluation = loop.failure("failed", result["crash"], fidelity=int(result["fidelity"]))
        else:
            evaluation = Evaluation.from_json(result["evaluation"])
        goes_on = loop.answer(job, evaluation, trouble=trouble, files=dict(result.get("files", ())) or None)
        return str(self.CONTINUE if goes_on else self.STOP)

    def __getstate__(self) -> dict[str, Any]:
        return {}
