"""A cheap model of accuracy over parameters: Bayesian ridge regression on a few features of each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spaces.domain import Value

MOST = 600
"""Candidates that one fit takes: more than features, of which 60 numbers have 180."""

Array = npt.NDArray[np.float64]
Params = Mapping[str, Value]


class Surrogate:
    """Logit of accuracy as a quadratic of every number and its product with the budget, and a level per category.

    Numbers are scaled to [-1, 1] over their range, logarithmically where they are drawn so; what a candidate does not
    have counts as the middle. A fit takes at most `MOST` candidates, so that it stays within 50 ms in 60 dimensions.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], *, budget: str) -> None:
        # The import takes seconds, and most commands only look a sampler up.
        from sklearn.linear_model import BayesianRidge

        self._numbers = {
            name: found
            for name, found in sorted(distributions.items())
            if isinstance(found, FloatDistribution | IntDistribution) and found.low < found.high
        }
        self._categories = [
            (name, choice)
            for name, found in sorted(distributions.items())
            if isinstance(found, CategoricalDistribution)
            for choice in found.choices
        ]
        self._budget = list(self._numbers).index(budget) if budget in self._numbers else None
        self._model: Any = BayesianRidge()
        self._rows: list[Array] = []

    def fit(self, params: Sequence[Params], accuracy: Sequence[float]) -> None:
        """Learn from candidates and their accuracies in [0, 1]; from call to call candidates may only be added."""
        self._rows.extend(self._features(params[len(self._rows) :]))
        used = thinned(len(params))
        clipped = np.clip(np.array(accuracy, dtype=np.float64)[used], 0.005, 0.995)
        self._model.fit(np.stack([self._rows[index] for index in used]), np.log(clipped / (1 - clipped)))

    def draw(self, params: Sequence[Params], rng: np.random.Generator) -> Array:
        """One plausible function's values, shape (candidates,); higher is better (Thompson 1933)."""
        model, features = self._model, self._features(params)
        drawn = rng.multivariate_normal(model.coef_, model.sigma_, method="eigh")
        values: Array = features @ drawn
        return values

    def _features(self, params: Sequence[Params]) -> Array:
        numbers = np.array([[_scaled(found, one.get(name)) for name, found in self._numbers.items()] for one in params])
        numbers = numbers.reshape(len(params), len(self._numbers))
        parts = [numbers, numbers**2]
        if self._budget is not None:
            parts.append(numbers * numbers[:, [self._budget]])
        levels = [[1.0 if one.get(name) == choice else 0.0 for name, choice in self._categories] for one in params]
        parts.append(np.array(levels).reshape(len(params), len(self._categories)))
        features: Array = np.concatenate(parts, axis=1)
        return features


def thinned(count: int) -> list[int]:
    """At most `MOST` positions of `count`, rising: the newest half of them, and older ones evenly."""
    if count <= MOST:
        return list(range(count))
    newest = MOST // 2
    older = np.linspace(0, count - newest - 1, MOST - newest).round().astype(int)
    return [*older.tolist(), *range(count - newest, count)]


def _scaled(distribution: FloatDistribution | IntDistribution, value: Value | None) -> float:
    if value is None:
        return 0.0
    low, high, number = float(distribution.low), float(distribution.high), float(value)
    if distribution.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return 2 * (number - low) / (high - low) - 1
