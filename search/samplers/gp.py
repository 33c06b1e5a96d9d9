"""Gaussian processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.samplers import BaseSampler, GPSampler

from search.samplers import SAMPLERS
from search.samplers.evolution import Evolution
from search.samplers.switching import Switching
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
        return Switching(first, Evolution().build(seed=seed), most=self.most, names=("gp", "evolution"))
