"""The samplers' benchmark: real searches in process, and the arithmetic of its table."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.samplers.curves import ALONE, RUNS, Remembering, Step, missing, search
from benchmarks.samplers.report import curves, reached, table
from benchmarks.tables import read_rows
from search.prepare import prepare


def test_searches_share_anchors_and_answers_and_are_not_run_again(tiny: Any, tmp_path: Path) -> None:
    prepared = prepare(tiny(trials=8), folder=tmp_path)
    for name in ("random", "evolution", ALONE):
        evaluator = Remembering(prepared, tmp_path / "answers.jsonl")
        search(name, seed=1, prepared=prepared, evaluator=evaluator, work=tmp_path / "runs", out=tmp_path)
    steps = read_rows(tmp_path / RUNS, kind=Step)
    rows = {name: [step for step in steps if step.sampler == name] for name in ("random", "evolution", ALONE)}
    assert [len(found) for found in rows.values()] == [8, 8, 8]
    assert [step.role for step in rows["random"]] == ["anchor"] * 2 + ["sampled"] * 6
    shared = [[(step.accuracy, step.macs, step.hypervolume) for step in rows[name][:2]] for name in rows]
    assert shared[0] == shared[1] != shared[2]
    assert {step.role for step in rows[ALONE]} == {"sampled"}
    answers = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(answers) <= 24 - 2, "the anchors were measured once"
    assert missing(["random", "gp"], 2, steps, trials=8) == [("random", 0), ("gp", 0), ("gp", 1)]


def step(sampler: str, seed: int, evaluation: int, hypervolume: float) -> Step:
    return Step(
        sampler=sampler,
        seed=seed,
        evaluation=evaluation,
        role="sampled",
        accuracy=0.5,
        macs=10,
        budget=10,
        hypervolume=hypervolume,
    )


def test_the_table_says_when_randoms_last_mean_was_reached() -> None:
    values = {("random", 0): (0.1, 0.2, 0.3), ("random", 1): (0.1, 0.2, 0.5), ("evolution", 0): (0.1, 0.4, 0.6)}
    steps = [step(*who, place, value) for who, found in values.items() for place, value in enumerate(found, 1)]
    found = curves([*steps, step("evolution", 1, 1, 0.3)])
    assert found["evolution"].tolist() == [[0.1, 0.4, 0.6], [0.3, 0.3, 0.3]]
    assert reached(np.array([0.1, 0.4]), 0.4) == 2
    assert reached(np.array([0.1, 0.3]), 0.4) is None
    lines = table(steps).splitlines()
    assert lines[-2] == "| evolution | 1 | 0.1000 | 0.4000 | 0.6000 | 0.6000 to 0.6000 | 2 | 2 |"
    assert lines[-1] == "| random | 2 | 0.1000 | 0.2000 | 0.4000 | 0.3000 to 0.5000 | 3 | never, 3 |"
