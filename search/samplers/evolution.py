"""Evolution of the best candidates, children screened by a model of all that is known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.halving import ranks
from search.samplers import SAMPLERS, feasible
from search.samplers.surrogate import Surrogate
from spaces import Domain, Float, Integer
from spaces.domain import Value

BUDGET = "budget"
"""The parameter that places a candidate on the front; `spaces.space` names it."""


@SAMPLERS.register("evolution", paper="Real et al. 2019, arXiv 1802.01548; Jin 2011, SWEVO 1(2) (surrogates)")
@dataclass(frozen=True, kw_only=True)
class Evolution:
    """Mutates and crosses the best candidates near a budget; a Bayesian regression picks the most promising child.

    The budgets of children are spread evenly over the range. Because every candidate meets its budget by construction,
    mutation and crossover of offsets are moves of channels between layers at equal compute.

    Attributes:
        children: made per candidate, of which the model's best is taken.
        mutated: expected number of parameters that a mutation changes.
        strength: standard deviation of a change, as a fraction of the parameter's range.
        crossover: probability that a child has two parents.
        random: probability that a candidate is drawn at random instead.
        startup: candidates before the first child; anchors count.
    """

    children: int = 128
    mutated: float = 3.0
    strength: float = 0.2
    crossover: float = 0.5
    random: float = 0.05
    startup: int = 8
    domains: ClassVar[Mapping[str, Domain]] = {
        "children": Integer(low=1, high=10_000, log=True),
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
        self._planned = {trial.number: self._child()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The child's value; a random one where its parents had none."""
        value = self._planned.get(trial.number, {}).get(param_name)
        if value is not None and _holds(param_distribution, value):
            return value
        return _random(param_distribution, self._rng)

    def _child(self) -> Mapping[str, Value]:
        known, settings = self._archive, self._settings
        if len(known.params) < settings.startup or self._rng.random() < settings.random:
            return {}
        budget = self._budget()
        parents = self._parents(budget)
        children = [self._made(parents, budget) for _ in range(settings.children)]
        if settings.children == 1:
            return children[0]
        if self._surrogate is None or self._features != known.distributions:
            self._surrogate, self._features = Surrogate(known.distributions, budget=BUDGET), dict(known.distributions)
        self._surrogate.fit(known.params, known.accuracy)
        return children[int(self._surrogate.draw(children, self._rng).argmax())]

    def _budget(self) -> Value | None:
        """A budget for the next child, evenly over the range; None where the search has one budget."""
        distribution = self._archive.distributions.get(BUDGET)
        return None if distribution is None else _random(distribution, self._rng)

    def _parents(self, budget: Value | None) -> list[int]:
        """The best candidates for a budget: of low rank among those that cost about as much, best first."""
        known = self._archive
        macs = np.log(known.macs)
        if budget is None:
            near = np.arange(len(macs))
        else:
            budgets = np.log([float(params.get(BUDGET, math.nan)) for params in known.params])
            distance = np.abs(budgets - math.log(float(budget)))
            near = np.argsort(distance, kind="stable")[: max(4, round(len(macs) ** 0.5) * 2)]
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
