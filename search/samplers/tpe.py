"""Tree-structured Parzen estimator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.samplers import BaseSampler, TPESampler

from search.samplers import SAMPLERS
from spaces import Categorical, Domain, Integer


@SAMPLERS.register("tpe", paper="Ozaki et al. 2022, JAIR 73 (multi-objective); Bergstra et al. 2011, NeurIPS")
@dataclass(frozen=True, kw_only=True)
class Tpe:
    """Models good and bad values of each parameter; the default, good for tens to thousands of trials.

    Attributes:
        multivariate: model parameters jointly. On the toy of 30 layers it ties with independent ones after warm starts
            and collapses without them.
        startup: random draws before the first model.
        candidates: draws from the model, of which the best is taken.
    """

    multivariate: bool = False
    startup: int = 10
    candidates: int = 24
    domains: ClassVar[Mapping[str, Domain]] = {
        "multivariate": Categorical(choices=(False, True)),
        "startup": Integer(low=1, high=10_000),
        "candidates": Integer(low=1, high=10_000),
    }

    def build(self, *, seed: int) -> BaseSampler:
        """Optuna's TPE; running trials count as bad ones, so that parallel workers spread out."""
        return TPESampler(
            seed=seed,
            multivariate=self.multivariate,
            n_startup_trials=self.startup,
            n_ei_candidates=self.candidates,
            constant_liar=True,
        )
