"""Tree-structured Parzen estimator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.samplers import SAMPLERS, feasible
from search.samplers.evolution import Evolution
from search.samplers.switching import Switching
from spaces import Categorical, Domain, Integer


@SAMPLERS.register("tpe", paper="Ozaki et al. 2022, JAIR 73 (multi-objective); Bergstra et al. 2011, NeurIPS")
@dataclass(frozen=True, kw_only=True)
class Tpe:
    """Models good and bad values of each parameter; for tens to thousands of trials, of which it sees some.

    Every parameter takes more than a millisecond, so that of candidates with more than 30 `evolution` takes over later.

    Attributes:
        multivariate: model parameters jointly. On the toy of 30 layers it ties with independent ones after warm starts
            and collapses without them.
        startup: random draws before the first model.
        candidates: draws from the model, of which the best is taken.
        most: trials after which `evolution` draws, where a candidate has more than 30 parameters.
    """

    multivariate: bool = False
    startup: int = 10
    candidates: int = 24
    most: int = 300
    domains: ClassVar[Mapping[str, Domain]] = {
        "multivariate": Categorical(choices=(False, True)),
        "startup": Integer(low=1, high=10_000),
        "candidates": Integer(low=1, high=10_000),
        "most": Integer(low=1, high=1_000_000),
    }

    def build(self, *, seed: int) -> BaseSampler:
        """Optuna's TPE, and what follows it; running trials count as bad ones, so that parallel workers spread out."""
        first = _ThinnedTpe(
            seed=seed,
            multivariate=self.multivariate,
            n_startup_trials=self.startup,
            n_ei_candidates=self.candidates,
            constant_liar=True,
        )
        later = Evolution().build(seed=seed)
        return Switching(first, later, most=self.most, few=_FEW_PARAMETERS, names=("tpe", "evolution"))


_FEW_PARAMETERS = 30
"""Parameters that one candidate's draws take less than 50 ms for."""
_MOST_VALUES = 6000
"""Trials times parameters that one model is made of: about 40 ms for a candidate."""
_FEWEST = 100
_GOOD = 0.25
"""Share of the trials kept that are the best of all."""


class _ThinnedTpe(TPESampler):
    """Optuna's, which looks at every trial again for every parameter: 0.9 s for 60 parameters after 2,000 trials.

    Of many trials it gets the best, evenly over the front, and the newest.
    """

    _view: "tuple[int, Study | _Some]" = (-1, None)  # type: ignore[assignment]

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As Optuna's, of some trials."""
        return super().sample_relative(self._seen(study, trial), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As Optuna's, of some trials."""
        return super().sample_independent(self._seen(study, trial), trial, param_name, param_distribution)

    def _seen(self, study: Study, trial: FrozenTrial) -> Study:
        if self._view[0] != trial.number:
            some = _some(study, trial)
            num_good = 0 if some is None else some.num_good
            self._gamma = (lambda _: num_good) if num_good else None  # None: Optuna's own number of good trials
            self._view = (trial.number, some or study)
        return self._view[1]  # type: ignore[return-value]


class _Some:
    """A study of which only some trials are seen."""

    def __init__(self, study: Study, trials: list[FrozenTrial], *, num_good: int) -> None:
        self._study, self._trials, self.num_good = study, trials, num_good
        self.directions = study.directions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, **_: Any) -> list[FrozenTrial]:
        return self._trials


def _some(study: Study, trial: FrozenTrial) -> _Some | None:
    """The trials that a model for `trial` is made of; None if all."""
    states = (TrialState.COMPLETE, TrialState.RUNNING)
    trials = [other for other in study.get_trials(deepcopy=False, states=states) if other.number != trial.number]
    most = max(_FEWEST, _MOST_VALUES // max((len(other.params) for other in trials), default=1))
    if len(trials) <= most:
        return None
    good = _best(trials, count=int(_GOOD * most))
    rest = [other.number for other in trials if other.number not in good]
    kept = good | set(rest[len(good) - most :])
    return _Some(study, [other for other in trials if other.number in kept], num_good=len(good))


def _best(trials: Sequence[FrozenTrial], *, count: int) -> set[int]:
    """Numbers of the first feasible fronts of accuracy against MACs; of the last front, members evenly over MACs."""
    complete = [other for other in trials if other.values is not None and feasible(other)]
    accuracy, macs = (np.array([other.values[axis] for other in complete]) for axis in (0, 1))
    left = np.lexsort((-accuracy, macs))
    found: list[int] = []
    while len(left) and len(found) < count:
        before = np.maximum.accumulate(np.concatenate(([-np.inf], accuracy[left[:-1]])))
        front = left[accuracy[left] > before]
        left = left[accuracy[left] <= before]
        places = np.linspace(0, len(front) - 1, min(len(front), count - len(found))).round().astype(int)
        found.extend(front[places].tolist())
    return {complete[index].number for index in found}
