"""Samplers that see only some of many trials: which, and that they still learn."""

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.config import Plugin
from search.samplers import build_sampler
from search.samplers.surrogate import MOST, thinned

NAMES = [f"offset.{number}" for number in range(30)]
DISTRIBUTIONS = {name: FloatDistribution(-0.25, 0.25) for name in NAMES} | {"budget": FloatDistribution(0.3, 0.8)}


def make_trial(number: int, *, failed: bool = False) -> FrozenTrial:
    """The smaller the first offset, the better; budgets cycle."""
    offset, budget = -0.25 + 0.5 * ((number * 7919) % 500) / 500, 0.3 + 0.05 * (number % 10)
    params = {name: 0.01 * (number % 7) for name in NAMES} | {"offset.0": offset, "budget": budget}
    values = [0.0, 1.0] if failed else [budget - 0.5 * offset, budget]
    return create_trial(
        params=params, distributions=DISTRIBUTIONS, values=values, state=TrialState.COMPLETE, constraints={"f": failed}
    )


def test_a_fit_takes_all_of_few_and_of_many_the_newest_half_and_older_ones_evenly() -> None:
    assert thinned(MOST) == list(range(MOST))
    some = thinned(5 * MOST)
    assert len(some) == len(set(some)) == MOST
    assert some == sorted(some)
    assert some[0] == 0
    assert some[MOST // 2 :] == list(range(5 * MOST - MOST // 2, 5 * MOST))


@pytest.mark.parametrize("name", ["tpe", "evolution"])
def test_after_many_trials_candidates_are_drawn_near_the_best(name: str) -> None:
    offsets = []
    for seed in range(6):
        sampler = build_sampler(Plugin(name=name), seed=seed)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.add_trials([make_trial(number, failed=number % 50 == 0) for number in range(700)])
        trial = study.ask(DISTRIBUTIONS)
        offsets.append(trial.params["offset.0"])
    assert sum(offset < -0.1 for offset in offsets) >= 5


def test_gaussian_processes_hand_over_when_they_would_become_slow() -> None:
    trials = [make_trial(number) for number in range(40)]
    drawn = {}
    for name, params in {"gp": {"most": 40}, "evolution": {}}.items():
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=build_sampler(Plugin(name=name, params=params), seed=5)
        )
        study.add_trials(trials)
        drawn[name] = study.ask(DISTRIBUTIONS).params
    assert drawn["gp"] == drawn["evolution"]
