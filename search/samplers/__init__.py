"""Samplers: how the next candidate is drawn from what is known. One file, one class."""

import warnings
from typing import Any, Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from evaluators.callables import call, import_function
from search.config import Plugin
from spaces import Registry, UserError


class Sampler(Protocol):
    """Hyper-parameters of a sampler."""

    def build(self, *, seed: int) -> BaseSampler:
        """Optuna's sampler for accuracy (maximised) and MACs (minimised), with constraints."""
        ...


# Sobol sequences and crossovers are marked experimental for years; the users of a search can do nothing about it.
warnings.filterwarnings("ignore", category=ExperimentalWarning)

SAMPLERS: Registry[type[Sampler]] = Registry("sampler", "search.samplers")


def build_sampler(plugin: Plugin, *, seed: int) -> BaseSampler:
    """The sampler that a configuration names: a registered one or the user's own as `package.module:function`.

    Raises:
        UserError: unknown name or parameter, or the user's function does not return an Optuna sampler.
    """
    if ":" not in plugin.name:
        sampler: Sampler = SAMPLERS.build(plugin.name, plugin.params)
        return sampler.build(seed=seed)
    own: Any = call(import_function(plugin.name, key="sampler"), plugin.params, key="sampler", given={"seed": seed})
    if not isinstance(own, BaseSampler):
        raise UserError("sampler", plugin.name, f"must return an optuna sampler, returned {type(own).__name__}")
    return own


def feasible(trial: FrozenTrial) -> bool:
    """Whether a trial led to a network that could be measured."""
    return all(value <= 0 for value in trial.constraints.values())
