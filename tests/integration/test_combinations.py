"""Which combinations reach the front: the counts, and where they are shown."""

import json
from pathlib import Path

from evaluators.evaluation import Evaluation
from search.combinations import Tally, combinations, tallies
from search.front import Dense, Front, Measured
from search.pages import combinations_section, write_pages
from spaces import Candidate, Choice

DENSE = Dense(macs=1000, params=10, accuracy=0.9)


def item(number: int, names: str, accuracy: float, macs: int, *, rounds: int = 1, fidelity: int = 0) -> Measured:
    allocator, method, *step = names.split()
    candidate = Candidate(
        budget_macs=macs,
        allocator=Choice.of(allocator, {"at": number}),
        method=Choice.of(method),
        step=Choice.of(step[0]) if step else None,
        rounds=rounds,
    )
    evaluation = Evaluation(
        status="complete", accuracy=accuracy, loss=1.0, macs=macs, params=5, fidelity=fidelity, seed=0
    )
    return Measured(number=number, candidate=candidate, evaluation=evaluation)


MEASURED = [
    item(0, "uniform l2", 0.5, 200),
    item(1, "uniform l2", 0.7, 600),
    item(2, "clr rnf merge", 0.6, 400),
    item(3, "clr rnf merge", 0.4, 500),
    item(4, "uniform l2", 0.1, 300, rounds=2),
    item(5, "clr rnf", 0.99, 100, fidelity=1),
]
FRONT = Front.of(MEASURED, dense_macs=1000, fidelity=0)


def test_hyper_parameters_do_not_tell_combinations_apart_but_steps_and_rounds_do() -> None:
    first, second = combinations(FRONT, MEASURED)
    assert (first.allocator, first.method, first.step, first.rounds) == ("uniform", "l2", "none", 1)
    assert (first.on_front, first.tried, first.lowest, first.highest, first.best_accuracy) == (2, 2, 0.2, 0.6, 0.7)
    assert (second.step, second.on_front, second.tried, second.lowest, second.highest) == ("merge", 1, 2, 0.4, 0.4)


def test_every_plugin_that_was_tried_is_counted() -> None:
    found = tallies(FRONT, MEASURED)
    assert found[:2] == (
        Tally(kind="allocator", name="uniform", tried=3, on_front=2),
        Tally(kind="allocator", name="clr", tried=2, on_front=1),
    )
    assert Tally(kind="rounds", name="2", tried=1, on_front=0) in found
    assert Tally(kind="step", name="none", tried=3, on_front=2) in found
    assert combinations(Front.of([], dense_macs=1), []) == tallies(Front.of([], dense_macs=1), []) == ()


def test_the_page_has_the_table(tmp_path: Path) -> None:
    page, *_, data = write_pages(tmp_path, title="run", front=FRONT, measured=MEASURED, dense=DENSE)
    text = page.read_text(encoding="utf-8")
    assert combinations_section(FRONT, MEASURED) in text
    assert "<td>clr</td><td>rnf</td><td>merge</td><td>1</td><td>1</td><td>2</td><td>40.0 %</td>" in text
    assert [row["trial"] for row in json.loads(data.read_text())] == [0, 2, 1]
