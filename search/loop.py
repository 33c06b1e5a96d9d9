"""The search as a state machine, without Ray: what to evaluate next, what to make of an answer, when to end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from evaluators.evaluation import Evaluation
from search.front import Front, Measured
from search.halving import Rungs
from search.study import PlanKey, SearchStudy
from spaces import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Evaluate a candidate from rung `first` of the ladder on; with `only`, on that rung alone."""

    number: int
    candidate: Candidate
    first: int = 0
    only: bool = False


class Listener(Protocol):
    """Hears what happens; must neither raise nor wait."""

    def started(self, job: Job) -> None:
        """A worker gets a candidate."""

    def evaluated(self, measured: Measured, *, trouble: str | None, front: Front, num_finished: int) -> None:
        """An answer is in the study, which now has this front; `trouble` is the traceback of a crash."""

    def ended(self, loop: "SearchLoop") -> None:
        """Nothing more will come."""


@dataclass(slots=True, kw_only=True)
class SearchLoop:
    """Asks the study, hands out jobs, records answers.

    Attributes:
        study: where everything is recorded.
        plan_key: names the network of a candidate, or refuses it.
        trials: candidates to evaluate over the study's whole life.
        num_rungs: length of the ladder.
        rungs: the rule for going up the ladder.
        give_up_after: identical failures in a row that end the search.
        seed: of evaluations, recorded with refused candidates.
        dense_macs: of the network that everything is made from.
        with_latency: whether latency is a third objective.
        stopped: why the search ended early, or None.
    """

    study: SearchStudy
    plan_key: PlanKey
    trials: int
    num_rungs: int
    rungs: Rungs
    give_up_after: int
    seed: int
    dense_macs: int
    with_latency: bool = False
    listeners: tuple[Listener, ...] = ()
    stopped: str | None = None
    trouble: str | None = None
    exhausted: bool = False
    _live: dict[int, Job] = field(default_factory=dict)
    _told: set[int] = field(default_factory=set)
    _measured: dict[tuple[int, int], Measured] = field(default_factory=dict)
    _streak: tuple[str, int] = ("", 0)

    def __post_init__(self) -> None:
        for item in self.study.measured():
            self._remember(item)
            if item.evaluation.status == "complete":
                self._go_up(item)

    @property
    def num_told(self) -> int:
        """Trials with an answer."""
        return len(self._told)

    @property
    def live(self) -> tuple[Job, ...]:
        """Jobs under way."""
        return tuple(self._live.values())

    @property
    def finished(self) -> bool:
        """Whether nothing is under way and nothing is left to do."""
        return not self._live and (self.stopped is not None or (self._enough() and self._next_remeasured() is None))

    def front(self) -> Front:
        """The front as it stands."""
        return Front.settled(list(self._measured.values()), dense_macs=self.dense_macs, with_latency=self.with_latency)

    def measured(self) -> list[Measured]:
        """Every evaluation, by trial and fidelity."""
        return [self._measured[key] for key in sorted(self._measured)]

    def next_job(self) -> Job | None:
        """What a free worker should do; None while there is nothing to do but others are at work, or at the end."""
        while self.stopped is None and not self._enough():
            proposal = self.study.ask(self.plan_key)
            if proposal is None:
                self.exhausted = True
            elif proposal.refused is not None:
                self._refuse(proposal.number, proposal.candidate, proposal.refused)
            else:
                return self._start(Job(number=proposal.number, candidate=proposal.candidate))
        # Who waits for the last ordinary jobs loses more than the few members that they push off the front.
        item = None if self.stopped is not None else self._next_remeasured()
        if item is None:
            return None
        return self._start(Job(number=item.number, candidate=item.candidate, first=self.num_rungs - 1, only=True))

    def answer(
        self,
        job: Job,
        evaluation: Evaluation,
        *,
        trouble: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> bool:
        """Record an answer; a repeated one is ignored, and so are files, which only final trainings send.

        Returns:
            Whether the job should go on to the next rung.
        """
        key = (job.number, evaluation.fidelity)
        item = Measured(number=job.number, candidate=job.candidate, evaluation=evaluation)
        if key not in self._measured:
            self.record(item, trouble=trouble)
        if evaluation.status != "complete" or job.only or evaluation.fidelity + 1 >= self.num_rungs or self.stopped:
            return False
        return self._go_up(item)

    def failure(self, status: Literal["failed", "infeasible"], reason: str, *, fidelity: int) -> Evaluation:
        """An evaluation without a result."""
        return Evaluation(status=status, reason=reason, fidelity=fidelity, seed=self.seed)

    def release(self, job: Job) -> None:
        """The job's worker is free again."""
        self._live.pop(job.number, None)

    def lost(self, job: Job, reason: str) -> None:
        """The job ended without an answer, after every retry: its worker died or hung."""
        fidelity = max((rung + 1 for number, rung in self._measured if number == job.number), default=job.first)
        if fidelity == job.first:
            self.answer(job, self.failure("failed", reason, fidelity=fidelity))
        self.release(job)

    def announce(self, job: Job) -> None:
        """Tell the listeners that a worker gets a job."""
        for listener in self.listeners:
            listener.started(job)

    def end(self) -> None:
        """Tell the listeners that it is over."""
        for listener in self.listeners:
            listener.ended(self)

    def _start(self, job: Job) -> Job:
        self._live[job.number] = job
        self.announce(job)
        return job

    def _refuse(self, number: int, candidate: Candidate, reason: str) -> None:
        evaluation = self.failure("infeasible", reason, fidelity=0)
        self.record(Measured(number=number, candidate=candidate, evaluation=evaluation))

    def record(self, item: Measured, *, trouble: str | None = None) -> None:
        """Write an evaluation down and tell the listeners."""
        if item.number in self._told:
            self.study.add(item.number, item.evaluation)
        else:
            self.study.tell(item.number, item.evaluation)
        self._remember(item)
        self._watch(item.evaluation, trouble)
        front = self.front()
        for listener in self.listeners:
            listener.evaluated(item, trouble=trouble, front=front, num_finished=len(self._told))

    def _remember(self, item: Measured) -> None:
        self._told.add(item.number)
        self._measured[(item.number, item.evaluation.fidelity)] = item

    def _watch(self, evaluation: Evaluation, trouble: str | None) -> None:
        """End the search where the same failure comes again and again."""
        reason = evaluation.reason or ""
        # Numbers differ from trial to trial where the cause is one.
        pattern = re.sub(r"[\d.,]+", "#", reason) if evaluation.status != "complete" else ""
        self._streak = (pattern, self._streak[1] + 1 if pattern == self._streak[0] else 1)
        if pattern and self._streak[1] >= self.give_up_after and self.stopped is None:
            self.stopped = f"{self._streak[1]} trials in a row failed alike: {reason}"
            self.trouble = trouble

    def _enough(self) -> bool:
        under_way = sum(job.number not in self._told for job in self._live.values())
        return self.exhausted or len(self._told) + under_way >= self.trials

    def _go_up(self, item: Measured) -> bool:
        point = (item.accuracy, float(item.macs))
        return self.rungs.goes_on(str(item.number), fidelity=item.evaluation.fidelity, point=point)

    def _next_remeasured(self) -> Measured | None:
        """A member of a lower rung's front without an answer on the last rung."""
        last = self.num_rungs - 1
        for fidelity in reversed(range(last)):
            front = Front.of(
                self._measured.values(),
                dense_macs=self.dense_macs,
                fidelity=fidelity,
                with_latency=self.with_latency,
            )
            for item in front.members:
                if (item.number, last) not in self._measured and item.number not in self._live:
                    return item
        return None
