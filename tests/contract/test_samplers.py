"""Every registered sampler: answers for mixed conditional spaces, with constraints, repeatably."""

import optuna
import pytest

from search.config import Plugin
from search.samplers import SAMPLERS, build_sampler
from spaces import UserError


def run(sampler: str, *, seed: int, trials: int = 16, constant: bool = False) -> list[dict[str, object]]:
    params = {"population": 4} if sampler == "nsga2" else {} if sampler == "random" else {"startup": 4}
    built = build_sampler(Plugin(name=sampler, params=params), seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=built)
    study.enqueue_trial({"kind": "a", "budget": 0.5, "offset.x": 0.0})
    for _ in range(trials):
        trial = study.ask()
        kind = trial.suggest_categorical("kind", ["a", "b"])
        budget = 0.5 if constant else trial.suggest_float("budget", 0.3, 0.8, log=True)
        spread = trial.suggest_float("kind.b.spread", 0.1, 10, log=True) if kind == "b" else 1.0
        offset = trial.suggest_float("offset.x", -0.25, 0.25)
        bad = offset > 0.2
        trial.set_constraint("failed", float(bad))
        study.tell(trial, (0.0, 1.0) if bad else (budget - offset**2 - 0.01 * spread, budget))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_answers_repeatably(name: str) -> None:
    first = run(name, seed=3, trials=7)
    assert first == run(name, seed=3, trials=7)
    assert first[1:] != run(name, seed=4, trials=7)[1:]
    assert first[0] == {"kind": "a", "budget": 0.5, "offset.x": 0.0}


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_works_where_every_network_costs_the_same(name: str) -> None:
    assert len(run(name, seed=0, trials=8, constant=True)) == 8


@pytest.mark.parametrize("entry", list(SAMPLERS), ids=lambda entry: entry.name)
def test_has_a_paper_and_a_summary(entry: object) -> None:
    assert entry.paper
    assert entry.summary.endswith((".", "yardstick."))


def test_unknown_sampler_names_the_nearest() -> None:
    with pytest.raises(UserError, match="nsga2"):
        build_sampler(Plugin(name="nsga3"), seed=0)


def test_own_sampler_by_its_path() -> None:
    sampler = build_sampler(Plugin(name="optuna.samplers:QMCSampler", params={"scramble": True}), seed=0)
    assert isinstance(sampler, optuna.samplers.QMCSampler)


def test_own_function_must_return_a_sampler() -> None:
    with pytest.raises(UserError, match="must return an optuna sampler"):
        build_sampler(Plugin(name="collections:Counter"), seed=0)
