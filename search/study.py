"""The Optuna study: the one durable record of a search. Everything else can be made again from it."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages.journal import JournalStorage
from optuna.trial import Trial, TrialState

from evaluators.evaluation import Evaluation
from search.front import Dense, Measured
from search.study_journal import BatchingJournal
from spaces import Candidate, Domain, Float, Integer, PlanError, UserError
from spaces.domain import Value
from spaces.space import Space

PlanKey: TypeAlias = Callable[[Candidate], str]
"""Names the network that a candidate leads to; raises PlanError or InfeasibleError where there is none."""

_DIRECTIONS: list[Literal["maximize", "minimize"]] = ["maximize", "minimize", "minimize"]
_MOST_DRAWS = 64
_MODEL_DRAWS = 8
_MOST_ATTEMPTS = 5
_SESSION = "session/"

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A candidate to evaluate under this trial number; `refused` says why no network can be made of it."""

    number: int
    candidate: Candidate
    refused: str | None = None


def random_study(name: str) -> str:
    """The study beside a run's own that samplers and fronts never see; no run can have such a name."""
    return f"{name}/random"


def open_storage(location: str | Path) -> BaseStorage:
    """A journal file for a path, Optuna's database storage for a URL.

    Raises:
        UserError: the database does not answer.
    """
    if isinstance(location, Path):
        return JournalStorage(BatchingJournal(str(location)))
    try:
        return RDBStorage(location)
    except Exception as error:  # Each database driver has errors of its own.
        raise UserError("storage", location, f"can't be opened: {str(error).splitlines()[0]}") from error


class Records:
    """Read-only view of a study: every evaluation that it holds."""

    def __init__(self, storage: BaseStorage, *, name: str) -> None:
        self.storage = storage
        try:
            self.study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            raise UserError("run", name, "its study holds nothing yet; was it ever started?") from None

    @property
    def dense(self) -> Dense:
        """The network that the search started from."""
        return Dense(**self.study.user_attrs["dense"])

    def measured(self) -> Iterator[Measured]:
        """Every evaluation of every finished trial, failed and infeasible ones too, by trial and fidelity."""
        further = _further(self.study.user_attrs)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            candidate = Candidate.from_json(trial.user_attrs["candidate"])
            for data in (trial.user_attrs["evaluation"], *further.get(trial.number, ())):
                evaluation = Evaluation.from_dict(data)
                yield Measured(number=trial.number, candidate=candidate, evaluation=evaluation)

    def random(self) -> "Records | None":
        """The random draws of the same space that the search is compared with, a study of their own; or None."""
        try:
            return Records(self.storage, name=random_study(self.study.study_name))
        except UserError:
            return None

    def sessions(self) -> list[dict[str, Any]]:
        """What every start of the driver recorded: `environment`, and once it ended `timings`."""
        attributes = self.study.user_attrs
        numbers = sorted(int(key.removeprefix(_SESSION)) for key in attributes if key.startswith(_SESSION))
        return [attributes[f"{_SESSION}{number}"] for number in numbers]

    def num_finished(self) -> int:
        """Trials with an answer."""
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


class SearchStudy(Records):
    """The study of a running search; one process writes it."""

    def __init__(
        self, storage: BaseStorage, *, name: str, space: Space, dense: Dense, with_latency: bool = False
    ) -> None:
        """Open the study, or make it: of accuracy against MACs, `with_latency` against predicted latency too.

        Raises:
            UserError: a study of that name exists and has other objectives.
        """
        directions = _DIRECTIONS if with_latency else _DIRECTIONS[:2]
        optuna.create_study(study_name=name, storage=storage, directions=directions, load_if_exists=True)
        super().__init__(storage, name=name)
        if [direction.name.lower() for direction in self.study.directions] != directions:
            raise UserError("storage", name, "holds another kind of study under this name")
        self.study.set_user_attr("dense", asdict(dense))
        self._space, self._dense = space, dense
        self._open: dict[int, Trial] = {}
        self._session: str | None = None
        self.seconds = {"ask": 0.0, "tell": 0.0}
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._known = {trial.user_attrs["plan_key"] for trial in done if "plan_key" in trial.user_attrs}
        self.use_sampler(RandomSampler(), seed=0)

    def use_sampler(self, sampler: BaseSampler, *, seed: int) -> None:
        """Draw new candidates from `sampler`; after repeats in a row from a random one with `seed`."""
        self._sampler = sampler
        self._fallback = RandomSampler(seed=seed + 1)

    def enqueue_anchors(self, anchors: Iterable[Candidate], *, limit: int) -> None:
        """Queue known good points of the space, at most `limit`, once in the study's life."""
        if self.study.user_attrs.get("anchors") is None:
            for candidate, _ in zip(anchors, range(limit), strict=False):
                self._enqueue(self._space.encode(candidate), {"role": "anchor"}, skip_if_exists=True)
            self.study.set_user_attr("anchors", limit)

    def adopt_orphans(self) -> int:
        """Queue again what a driver that died left running, with the same parameters.

        Returns:
            How many.
        """
        orphans = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for orphan in orphans:
            self.study.tell(orphan.number, state=TrialState.FAIL)
            attempt = orphan.user_attrs.get("attempt", 1) + 1
            params = orphan.params if "candidate" in orphan.user_attrs else orphan.user_attrs.get("enqueued")
            if params and attempt <= _MOST_ATTEMPTS:
                self._enqueue(params, {"role": orphan.user_attrs.get("role", "sampled"), "attempt": attempt})
        return len(orphans)

    def ask(self, plan_key: PlanKey) -> Proposal | None:
        """The next candidate that leads to a new network, or None where the space seems to have no more.

        Repeated networks are told as failed: samplers don't see those, while copies of an answer would draw them to it.
        After a few repeats in a row the draw is random.
        """
        with self._timed("ask"):
            return self._ask(plan_key)

    def _ask(self, plan_key: PlanKey) -> Proposal | None:
        for draw in range(_MOST_DRAWS):
            self.study.sampler = self._sampler if draw < _MODEL_DRAWS else self._fallback
            trial = self.study.ask()
            candidate = self._space.decode(_suggest_from(trial))
            trial.set_user_attr("candidate", candidate.to_json())
            try:
                key = plan_key(candidate)
            except (PlanError, UserError) as error:
                self._open[trial.number] = trial
                return Proposal(number=trial.number, candidate=candidate, refused=str(error))
            if key not in self._known:
                self._known.add(key)
                trial.set_user_attr("plan_key", key)
                self._open[trial.number] = trial
                return Proposal(number=trial.number, candidate=candidate)
            self.study.tell(trial, state=TrialState.FAIL)
        return None

    def tell(self, number: int, evaluation: Evaluation) -> None:
        """Record a trial's first evaluation: what the sampler learns from, of the lowest fidelity in every trial."""
        trial = self._open.pop(number)
        good = evaluation.status == "complete"
        with self._timed("tell"):
            # A trial without constraints counts as feasible, and constraints can't be set after telling.
            trial.set_constraint("failed", 0.0 if good else 1.0)
            trial.set_user_attr("evaluation", evaluation.to_dict())
            self.study.tell(trial, self._values(evaluation if good else None))

    def add(self, number: int, evaluation: Evaluation) -> None:
        """Record a further evaluation of a trial that has been told: a higher rung of the ladder."""
        with self._timed("tell"):
            self.study.set_user_attr(f"evaluation/{number}/{evaluation.fidelity}", evaluation.to_dict())

    def open_session(self, environment: Mapping[str, Any]) -> None:
        """Record under what versions, settings and device the driver goes to work."""
        self._session = f"{_SESSION}{len(self.sessions())}"
        self.study.set_user_attr(self._session, {"environment": dict(environment)})

    def close_session(self, timings: Mapping[str, Any]) -> None:
        """Record how long this start of the driver took, in seconds by name; a driver that dies leaves none."""
        assert self._session is not None
        opened = self.study.user_attrs[self._session]
        self.study.set_user_attr(self._session, {**opened, "timings": dict(timings)})

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Time what is inside; in a journal it is one entry."""
        started = time.perf_counter()
        self.study.get_trials(deepcopy=False, states=())  # reads what others wrote: a batch must follow on that
        backend = getattr(self.storage, "_backend", None)
        try:
            with backend.batch() if isinstance(backend, BatchingJournal) else nullcontext():
                yield
        finally:
            self.seconds[name] += time.perf_counter() - started

    def _values(self, evaluation: Evaluation | None) -> tuple[float, ...]:
        """The objectives of a complete evaluation, or the worst there are."""
        if evaluation is None:
            values = (0.0, float(self._space.dense_macs), self._dense.latency_ms)
        else:
            values = (evaluation.accuracy, float(evaluation.macs), evaluation.latency_ms)
        return tuple(value for value in values[: len(self.study.directions)] if value is not None)

    def _enqueue(self, params: dict[str, Value], attributes: dict[str, Any], *, skip_if_exists: bool = False) -> None:
        self.study.enqueue_trial(params, {**attributes, "enqueued": params}, skip_if_exists=skip_if_exists)


def _suggest_from(trial: Trial) -> Callable[[str, Domain], Value]:
    def suggest(name: str, domain: Domain) -> Value:
        if isinstance(domain, Float):
            return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        if isinstance(domain, Integer):
            return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        return trial.suggest_categorical(name, domain.choices)  # type: ignore[return-value]

    return suggest


def _further(attributes: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    """Evaluations of higher fidelity by trial, from the lowest."""
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for key, value in attributes.items():
        if key.startswith("evaluation/"):
            _, number, fidelity = key.split("/")
            found.setdefault(int(number), {})[int(fidelity)] = value
    return {number: [rungs[fidelity] for fidelity in sorted(rungs)] for number, rungs in found.items()}
