"""Independent draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from optuna.samplers import BaseSampler, RandomSampler

from search.samplers import SAMPLERS
from spaces import Domain


@SAMPLERS.register("random", paper="Bergstra and Bengio 2012, JMLR 13")
@dataclass(frozen=True, kw_only=True)
class Random:
    """Draws every candidate independently of all others: the yardstick."""

    domains: ClassVar[Mapping[str, Domain]] = {}

    def build(self, *, seed: int) -> BaseSampler:
        """Optuna's random sampler."""
        return RandomSampler(seed=seed)
