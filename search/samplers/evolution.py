"""Evolution of the best candidates; of many children the one that a model expects most of is measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pruners.cost import FloatArray
from search.halving import ranks
from search.samplers import SAMPLERS, feasible
from search.samplers.improvement import Steps
from search.samplers.surrogate import Surrogate
from spaces import Domain, Float, Integer
from spaces.domain import Value

BUDGET = "budget"
"""The parameter that places a candidate on the front; `spaces.space` names it."""

_MOST_NEAR = 64
"""Candidates near a budget among which its parents are; ranking more would take most of a draw's time."""


@SAMPLERS.register(
    "evolution",
    paper="Real et al. 2019, arXiv 1802.01548; Emmerich et al. 2006, IEEE TEVC 10(4) (hypervolume, surrogates)",
)
@dataclass(frozen=True, kw_only=True)
class Evolution:
    """Mutates and crosses the best candidates near some budgets; the child that promises most hypervolume is measured.

    Children are made at budgets spread evenly over the range. A Bayesian regression over all answers says how accurate
    each would be, and so how much it would add to the front: evaluations go where the front has gaps and where accuracy
    can still be gained, few to budgets where nothing is. Because every candidate meets its budget by construction,
    mutation and crossover of offsets are moves of channels between layers at equal compute.

    Attributes:
        children: made per candidate, of which the model's best is taken.
        budgets: at which they are made.
        mutated: expected number of parameters that a mutation changes.
        strength: standard deviation of a change, as a fraction of the parameter's range.
        crossover: probability that a child has two parents.
        random: probability that a candidate is drawn at random instead.
        startup: candidates before the first child; anchors count.
    """

    children: int = 128
    budgets: int = 8
    mutated: float = 3.0
    strength: float = 0.2
    crossover: float = 0.5
    random: float = 0.05
    startup: int = 8
    domains: ClassVar[Mapping[str, Domain]] = {
        "children": Integer(low=1, high=10_000, log=True),
        "budgets": Integer(low=1, high=1000, log=True),
        "mutated": Float(low=1.0, high=100.0, log=True),
        "strength": Float(low=0.01, high=1.0, log=True),
        "crossover": Float(low=0.0, high=1.0),
        "random": Float(low=0.0, high=1.0),
        "startup": Integer(low=2, high=10_000),
    }

    def build(self, *, seed: int) -> BaseSampler:
        """The sampler as Optuna calls it."""
        return _EvolutionSampler(self, seed=seed)


@dataclass(slots=True)
class _Archive:
    """What is known: parameters and objectives of every complete, feasible trial, in the order of their numbers."""

    params: list[Mapping[str, Value]] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    macs: list[float] = field(default_factory=list)
    budgets: list[float] = field(default_factory=list)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def update(self, study: Study) -> None:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if trial.number in self.seen:
                continue
            self.seen.add(trial.number)
            if feasible(trial) and trial.values is not None:
                self.params.append(trial.params)
                self.accuracy.append(trial.values[0])
                self.macs.append(trial.values[1])
                self.budgets.append(float(trial.params.get(BUDGET, math.nan)))
                self.distributions |= trial.distributions


class _EvolutionSampler(BaseSampler):
    """One child per trial, made before Optuna asks for its parameters one by one."""

    def __init__(self, settings: Evolution, *, seed: int) -> None:
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._archive = _Archive()
        self._planned: dict[int, Mapping[str, Value]] = {}
        self._surrogate: Surrogate | None = None
        self._features: dict[str, BaseDistribution] = {}

    def reseed_rng(self) -> None:
        """Called by Optuna in forked processes."""
        self._rng = np.random.default_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """None: conditional parameters are inherited one by one."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing: see `infer_relative_search_space`."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the child."""
        self._archive.update(study)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        others = [other.params for other in running if other.number != trial.number and other.params]
        self._planned = {trial.number: self._child(others)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The child's value; a random one where its parents had none."""
        value = self._planned.get(trial.number, {}).get(param_name)
        if value is not None and _holds(param_distribution, value):
            return value
        return _random(param_distribution, self._rng)

    def _child(self, running: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
        known, settings = self._archive, self._settings
        if len(known.params) < settings.startup or self._rng.random() < settings.random:
            return {}
        spots = self._spots()
        each = max(1, settings.children // len(spots))
        children = [child for spot in spots for child in self._brood(spot, each)]
        if len(children) == 1:
            return children[0]
        surrogate = self._fitted()
        expected = surrogate.predict(children)
        if spots != [None]:
            budgets = np.array([float(child[BUDGET]) for child in children])
            expected = self._gains(expected, budgets, surrogate, running)
        return children[int(expected.argmax())]

    def _spots(self) -> Sequence[float | None]:
        """Budgets, one from each of so many equal parts of the range; None where the search has one budget."""
        distribution = self._archive.distributions.get(BUDGET)
        if distribution is None:
            return [None]
        assert isinstance(distribution, FloatDistribution)
        count = min(self._settings.budgets, self._settings.children)
        shares = (np.arange(count) + self._rng.random(count)) / count
        low, high = math.log(distribution.low), math.log(distribution.high)
        drawn = np.exp(low + shares * (high - low)).clip(distribution.low, distribution.high)
        return [float(budget) for budget in drawn]

    def _brood(self, budget: Value | None, count: int) -> list[Mapping[str, Value]]:
        parents = self._parents(budget)
        return [self._made(parents, budget) for _ in range(count)]

    def _fitted(self) -> Surrogate:
        known = self._archive
        if self._surrogate is None or self._features != known.distributions:
            self._surrogate, self._features = Surrogate(known.distributions, budget=BUDGET), dict(known.distributions)
        self._surrogate.fit(known.params, known.accuracy)
        return self._surrogate

    def _gains(
        self, expected: FloatArray, budgets: FloatArray, surrogate: Surrogate, running: Sequence[Mapping[str, Value]]
    ) -> FloatArray:
        """Hypervolume that each child is expected to add; where none adds any, how little it falls short.

        Running candidates count as if they had their expected answers, so that workers spread out.
        """
        known = self._archive
        away = [params for params in running if BUDGET in params]
        macs, asked = np.array(known.macs), np.array(known.budgets)
        dense_macs = float(np.nanmax(macs / asked))  # budgets are shares of the dense network's MACs, met from below
        front = Steps(
            [*known.accuracy, *(surrogate.predict(away) if away else ())],
            [*(macs / dense_macs), *(float(params[BUDGET]) for params in away)],
        )
        gains = front.improvement(expected, budgets)
        return gains if gains.max() > 0 else expected - front.level(budgets)

    def _parents(self, budget: Value | None) -> list[int]:
        """The best candidates for a budget: of low rank among those that cost about as much, best first."""
        known = self._archive
        if budget is None:
            near = np.arange(len(known.macs))
        else:
            distance = np.abs(np.log(known.budgets) - math.log(float(budget)))
            near = np.argsort(distance, kind="stable")[: min(_MOST_NEAR, max(4, round(len(known.macs) ** 0.5) * 4))]
        rank = np.array(ranks([(known.accuracy[i], known.macs[i]) for i in near]))
        accuracy = np.array([known.accuracy[i] for i in near])
        return [int(i) for i in near[np.lexsort((-accuracy, rank))]]

    def _made(self, parents: Sequence[int], budget: Value | None) -> Mapping[str, Value]:
        known, rng, settings = self._archive, self._rng, self._settings
        child = dict(known.params[self._parent(parents)])
        if rng.random() < settings.crossover:
            other = known.params[self._parent(parents)]
            share = rng.random()
            child |= {name: value for name, value in other.items() if rng.random() < share}
        free = [name for name in child if name != BUDGET]
        chance = min(1.0, settings.mutated / max(1, len(free)))
        for name in (name for name in free if rng.random() < chance):
            child[name] = _mutated(known.distributions[name], child[name], settings.strength, rng)
        if budget is not None:
            child[BUDGET] = budget
        return child

    def _parent(self, parents: Sequence[int]) -> int:
        """One of the parents, the better the likelier: exponentially, with a quarter of them as the mean place."""
        place = int(self._rng.exponential(max(1.0, len(parents) / 4)))
        return parents[min(place, len(parents) - 1)]


def _mutated(distribution: BaseDistribution, value: Value, strength: float, rng: np.random.Generator) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        return _random(distribution, rng)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    scale = math.log if distribution.log else float
    step = strength * rng.standard_normal() * (scale(high) - scale(low))
    moved = scale(float(value)) + step
    moved = math.exp(moved) if distribution.log else moved
    moved = min(max(moved, low), high)
    return round(moved) if isinstance(distribution, IntDistribution) else moved


def _random(distribution: BaseDistribution, rng: np.random.Generator) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        value: Value = distribution.choices[rng.integers(len(distribution.choices))]  # type: ignore[assignment]
        return value
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if distribution.log else rng.uniform(low, high)
    if isinstance(distribution, IntDistribution):
        return int(rng.integers(distribution.low, distribution.high + 1)) if not distribution.log else round(drawn)
    return min(max(drawn, low), high)


def _holds(distribution: BaseDistribution, value: Value) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution._contains(distribution.to_internal_repr(value))
