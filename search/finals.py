"""After the search: members of the front are trained as an export would train them, so that the last front is real."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from evaluators.evaluation import Evaluation
from search.front import Front, Measured
from search.loop import Job, SearchLoop

Tester = Callable[[Job, Mapping[str, bytes]], float]
"""Accuracy on the test split, in [0, 1], of a job's trained network: its files, as `save_slim` writes them."""


def spread(members: Sequence[Measured], count: int) -> list[Measured]:
    """At most `count` members, evenly over the logarithm of MACs, both ends among them."""
    if len(members) <= count:
        return list(members)
    if count == 1:
        return [members[-1]]
    places = [math.log(item.macs) for item in members]
    chosen: dict[int, Measured] = {}
    for step in range(count):
        wanted = places[0] + (places[-1] - places[0]) * step / (count - 1)
        free = [index for index in range(len(members)) if index not in chosen]
        nearest = min(free, key=lambda index: abs(places[index] - wanted))
        chosen[nearest] = members[nearest]
    return [chosen[index] for index in sorted(chosen)]


@dataclass(slots=True, kw_only=True)
class FinalLoop:
    """Hands out one training per chosen member of the front and records its accuracies; looks like a `SearchLoop`.

    Attributes:
        search: the finished search; it records and tells the listeners.
        count: at most so many members.
        test: measures trained weights on the test split, in the driver: workers never get it.
    """

    search: SearchLoop
    count: int
    test: Tester
    _live: dict[int, Job] = field(default_factory=dict)

    @property
    def fidelity(self) -> int:
        """Of the final trainings: above every rung."""
        return self.search.num_rungs

    @property
    def finished(self) -> bool:
        """Whether every member has been trained, or the search was stopped."""
        return not self._live and not self._left()

    def next_job(self) -> Job | None:
        """The next member to train; None where others are under way, or at the end."""
        left = self._left()
        if not left:
            return None
        job = Job(number=left[0].number, candidate=left[0].candidate, first=self.fidelity, only=True)
        self._live[job.number] = job
        self.search.announce(job)
        return job

    def answer(
        self,
        job: Job,
        evaluation: Evaluation,
        *,
        trouble: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> bool:
        """Record a trained network; nothing follows."""
        if evaluation.status == "complete" and files is not None:
            evaluation = replace(evaluation, test_accuracy=self.test(job, files))
        item = Measured(number=job.number, candidate=job.candidate, evaluation=evaluation)
        self.search.record(item, trouble=trouble)
        return False

    def failure(self, status: Literal["failed", "infeasible"], reason: str, *, fidelity: int) -> Evaluation:
        """An evaluation without a result."""
        return self.search.failure(status, reason, fidelity=fidelity)

    def release(self, job: Job) -> None:
        """The job's worker is free again."""
        self._live.pop(job.number, None)

    def lost(self, job: Job, reason: str) -> None:
        """The worker died, after every retry."""
        self.answer(job, self.failure("failed", reason, fidelity=self.fidelity))
        self.release(job)

    def _left(self) -> list[Measured]:
        """Chosen members that are neither trained nor under way."""
        if self.search.stopped is not None:
            return []
        measured = self.search.measured()
        searched = [item for item in measured if item.evaluation.fidelity < self.fidelity]
        search = self.search
        front = Front.settled(searched, dense_macs=search.dense_macs, with_latency=search.with_latency)
        done = {item.number for item in measured if item.evaluation.fidelity == self.fidelity}
        chosen = spread(front.members, self.count)
        return [item for item in chosen if item.number not in done and item.number not in self._live]
