"""Samplers that see only some of many trials: which, and that they still learn."""

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.config import Plugin
from search.front import hypervolume
from search.samplers import build_sampler
from search.samplers.improvement import Steps
from search.samplers.surrogate import MOST, Surrogate, thinned

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


@pytest.mark.parametrize(("name", "params"), [("tpe", {"most": 10_000}), ("evolution", {})])
def test_after_many_trials_candidates_are_drawn_near_the_best(name: str, params: dict[str, Any]) -> None:
    offsets = []
    for seed in range(6):
        sampler = build_sampler(Plugin(name=name, params=params), seed=seed)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.add_trials([make_trial(number, failed=number % 50 == 0) for number in range(700)])
        trial = study.ask(DISTRIBUTIONS)
        offsets.append(trial.params["offset.0"])
    assert sum(offset < -0.1 for offset in offsets) >= 5


@pytest.mark.parametrize("name", ["gp", "tpe"])
def test_slow_samplers_hand_over_and_say_so_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    trials = [make_trial(number) for number in range(40)]
    drawn = {}
    for sampler, params in {name: {"most": 40}, "evolution": {}}.items():
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=build_sampler(Plugin(name=sampler, params=params), seed=5)
        )
        study.add_trials(trials)
        drawn[sampler] = [study.ask(DISTRIBUTIONS).params for _ in range(2)]
    assert drawn[name] == drawn["evolution"]
    assert [record.getMessage() for record in caplog.records if "switching" in record.name] == [
        f"40 trials are answered: evolution draws from here on, {name} would be too slow"
    ]


def test_tpe_goes_on_where_a_candidate_has_few_parameters() -> None:
    few = {name: DISTRIBUTIONS[name] for name in ("offset.0", "budget")}
    drawn = []
    for most in (1, 10_000):
        sampler = build_sampler(Plugin(name="tpe", params={"most": most}), seed=5)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        values = [(make_trial(number).params, make_trial(number).values) for number in range(20)]
        for params, found in values:
            kept = {name: params[name] for name in few}
            study.add_trial(create_trial(params=kept, distributions=few, values=found, constraints={"f": 0.0}))
        drawn.append(study.ask(few).params)
    assert drawn[0] == drawn[1]


POINTS = [(0.2, 0.1), (0.6, 0.4), (0.5, 0.45), (0.9, 0.8)]


def test_improvement_is_the_difference_of_hypervolumes() -> None:
    steps = Steps(*zip(*POINTS, strict=True))
    others = [(0.1, 0.05), (0.7, 0.5), (0.95, 0.05), (0.55, 0.41), (0.95, 1.0), (0.3, 0.2), (0.6, 0.4)]
    found = steps.improvement(*(np.array(axis) for axis in zip(*others, strict=True)))
    assert found == pytest.approx([hypervolume([*POINTS, other]) - hypervolume(POINTS) for other in others])
    assert steps.level(np.array([0.05, 0.1, 0.42, 0.9])).tolist() == [0.0, 0.2, 0.6, 0.9]


def test_candidates_that_differ_in_what_all_offsets_share_are_one() -> None:
    found = Surrogate(DISTRIBUTIONS, budget="budget")
    trials = [make_trial(number) for number in range(60)]
    found.fit([trial.params for trial in trials], [trial.values[0] for trial in trials])
    params = trials[3].params
    shifted = {name: value + (0.01 if name.startswith("offset.") else 0.0) for name, value in params.items()}
    bent = {**params, "offset.0": params["offset.0"] + 0.1}
    one, same, other = found.predict([params, shifted, bent])
    assert one == pytest.approx(same)
    assert other < one


def test_evolution_measures_where_the_front_has_a_gap_and_workers_spread_out() -> None:
    """Of candidates whose accuracy is their budget, the middle ones are missing."""
    study = optuna.create_study(
        directions=["maximize", "minimize"],
        sampler=build_sampler(Plugin(name="evolution", params={"random": 0.0}), seed=0),
    )
    for budget in (*np.linspace(0.3, 0.4, 10), *np.linspace(0.7, 0.8, 10)):
        params = {**dict.fromkeys(NAMES, 0.0), "budget": float(budget)}
        study.add_trial(
            create_trial(params=params, distributions=DISTRIBUTIONS, values=[float(budget)] * 2, constraints={"f": 0.0})
        )
    asked = [study.ask(DISTRIBUTIONS).params["budget"] for _ in range(3)]
    assert all(0.4 < budget < 0.7 for budget in asked)
    assert min(abs(asked[0] - asked[1]), abs(asked[0] - asked[2]), abs(asked[1] - asked[2])) > 0.02
