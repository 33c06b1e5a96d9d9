"""The overhead benchmark's own arithmetic: synthetic studies, rows and the page made of them."""

from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage

from benchmarks.overhead.asks import ASKS, AskRow, asked, fill, layered_space
from benchmarks.overhead.report import write_summary
from benchmarks.overhead.searches import SEARCHES, SearchRow
from benchmarks.tables import append_row, read_rows
from search.study import open_storage


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_asks_are_measured_in_a_filled_study(tmp_path: Path, kind: str) -> None:
    space = layered_space(11)
    storage = fill(InMemoryStorage() if kind == "memory" else open_storage(tmp_path / "s.journal"), space, 40)
    row = asked("evolution", storage, space, trials=40, kind=kind)
    assert (row.parameters, row.trials, row.storage) == (12, 40, kind)
    assert 0 < row.median_ms <= row.worst_ms
    append_row(row, tmp_path / ASKS)
    assert read_rows(tmp_path / ASKS, kind=AskRow) == [row]
    assert "| evolution |" in write_summary(tmp_path)


def test_overhead_is_what_workers_waited_in_the_window(tmp_path: Path) -> None:
    row = SearchRow(
        label="net: recalibrate",
        workers=2,
        candidates=10,
        evaluations=12,
        total=120.0,
        prepare=10.0,
        start_up=5.0,
        window=100.0,
        busy=190.0,
        evaluation=19.0,
        ending=5.0,
        ask=0.12,
        tell=0.024,
        tracking=1.2,
        load_before=0.5,
        load_after=2.0,
    )
    assert row.overhead == pytest.approx(0.05)
    append_row(row, tmp_path / SEARCHES)
    line = write_summary(tmp_path).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[0] == "net: recalibrate"
    assert "**5.0 %**" in cells
    assert "0.833" in cells  # seconds of a worker per evaluation: 10 of 200 over 12
    assert cells[10:13] == ["10.0", "2.0", "100.0"]
