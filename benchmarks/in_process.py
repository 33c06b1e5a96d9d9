"""A search loop run in this process, without Ray: one candidate at a time, whatever the machine does meanwhile."""

from typing import Protocol

from evaluators.evaluation import Evaluation
from search.loop import SearchLoop
from spaces import Candidate


class Measures(Protocol):
    """Whatever turns candidates into evaluations: `evaluators.worker.Evaluator`, or one that remembers."""

    def evaluate(self, candidate: Candidate, *, fidelity: int, seed: int) -> Evaluation:
        """Measure `candidate` with the proxy number `fidelity`."""
        ...


def drive_in_process(loop: SearchLoop, evaluator: Measures, *, seed: int) -> None:
    """Evaluate, up the ladder, until the loop has no more jobs."""
    while (job := loop.next_job()) is not None:
        fidelity = job.first
        while loop.answer(job, evaluator.evaluate(job.candidate, fidelity=fidelity, seed=seed)):
            fidelity += 1
        loop.release(job)
