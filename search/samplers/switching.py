"""One sampler for the first trials of a study, another one where the first would become slow."""

import logging
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

_LOG = logging.getLogger(__name__)


class Switching(BaseSampler):
    """Draws with `first` until `most` trials are answered, then with `later`; says so once.

    The rule counts and takes no time, so that a search repeats bit by bit.
    """

    def __init__(
        self, first: BaseSampler, later: BaseSampler, *, most: int, few: int = 0, names: tuple[str, str] = ("", "")
    ) -> None:
        """Both samplers.

        Args:
            first: draws first.
            later: takes over.
            most: answered trials after which it does.
            few: candidates of at most so many parameters stay with `first`.
            names: of both, for the message.
        """
        self._first, self._later, self._most, self._few, self._names = first, later, most, few, names
        self._now = first

    def reseed_rng(self) -> None:
        """Called by Optuna in forked processes."""
        self._first.reseed_rng()
        self._later.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose who draws this trial."""
        answered = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if self._now is self._first and len(answered) >= self._most and len(answered[-1].params) > self._few:
            self._now = self._later
            first, later = self._names
            _LOG.warning(
                "%d trials are answered: %s draws from here on, %s would be too slow", self._most, later, first
            )
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
