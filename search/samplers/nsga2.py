"""Elitist genetic algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.samplers.nsgaii import SBXCrossover

from search.samplers import SAMPLERS
from spaces import Domain, Float, Integer


@SAMPLERS.register("nsga2", paper="Deb et al. 2002, IEEE TEVC 6(2)")
@dataclass(frozen=True, kw_only=True)
class Nsga2:
    """NSGA-II with simulated binary crossover: for long searches, from about a thousand trials.

    Attributes:
        population: candidates of one generation.
        crossover: probability that a child has two parents.
    """

    population: int = 20
    crossover: float = 0.9
    domains: ClassVar[Mapping[str, Domain]] = {
        "population": Integer(low=2, high=10_000),
        "crossover": Float(low=0.0, high=1.0),
    }

    def build(self, *, seed: int) -> BaseSampler:
        """Optuna's NSGA-II."""
        return NSGAIISampler(
            seed=seed,
            population_size=self.population,
            crossover=SBXCrossover(),
            crossover_prob=self.crossover,
        )
