"""Gaussian processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.samplers import SAMPLERS
from search.samplers.evolution import Evolution
from spaces import Domain, Integer


@SAMPLERS.register("gp", paper="Ament et al. 2023, arXiv 2310.20708 (logEI); Daulton et al. 2020 (EHVI)")
@dataclass(frozen=True, kw_only=True)
class Gp:
    """Gaussian processes with expected hypervolume improvement: up to about 150 dear trials and 30 parameters.

    Asking costs seconds at 100 trials and grows with their cube, so that `evolution` takes over later.

    Attributes:
        startup: random draws before the first model.
        most: trials after which `evolution` draws.
    """

    startup: int = 10
    most: int = 150
    domains: ClassVar[Mapping[str, Domain]] = {
        "startup": Integer(low=1, high=10_000),
        "most": Integer(low=1, high=10_000),
    }

    def build(self, *, seed: int) -> BaseSampler:
        """Optuna's Gaussian process sampler, and what follows it."""
        first = GPSampler(seed=seed, n_startup_trials=self.startup, warn_independent_sampling=False)
        return _Switching(first, Evolution().build(seed=seed), most=self.most)


class _Switching(BaseSampler):
    """One sampler for the first trials of a study, another one after them."""

    def __init__(self, first: BaseSampler, later: BaseSampler, *, most: int) -> None:
        self._first, self._later, self._most = first, later, most
        self._now = first

    def reseed_rng(self) -> None:
        """Called by Optuna in forked processes."""
        self._first.reseed_rng()
        self._later.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose who draws this trial."""
        answered = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        self._now = self._first if len(answered) < self._most else self._later
        self._now.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the one whose turn it is."""
        return self._now.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the one whose turn it is."""
        return self._now.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the one whose turn it is."""
        return self._now.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the one whose turn it is."""
        self._now.after_trial(study, trial, state, values)
