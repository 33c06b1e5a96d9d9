"""Tables for people, and how the console is made."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from search.combinations import COLUMNS, NUMBERS, cells, combinations, tallies
from search.front import Dense, Front, Measured
from search.targets import format_macs

_COLUMNS: dict[str, Literal["left", "right"]] = {
    "trial": "right",
    "accuracy %": "right",
    "change": "right",
    "test %": "right",
    "MACs": "right",
    "of dense": "right",
    "parameters": "right",
    "latency": "right",
    "allocator": "left",
    "method": "left",
    "step": "left",
}
_OPTIONAL = ("test %", "latency", "step")
"""Columns that are left out where no row has anything there."""


def console(*, err: bool = False) -> Console:
    """A console; where the output is no terminal, lines are not broken."""
    made = Console(stderr=err)
    if not made.is_terminal:
        made = Console(stderr=err, width=200)
    return made


def front_table(front: Front, *, dense: Dense, title: str, limit: int | None = None) -> Table:
    """The front from the smallest network to the largest; with `limit`, evenly thinned."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    rows = [_front_row(item, dense=dense) for item in _thinned(front.members, limit)]
    absent = {name for name in _OPTIONAL if not any(row[name] for row in rows)}
    for name, justify in _COLUMNS.items():
        if name not in absent:
            table.add_column(name, justify=justify)
    for row in rows:
        table.add_row(*(text for name, text in row.items() if name not in absent))
    return table


def _front_row(item: Measured, *, dense: Dense) -> dict[str, str]:
    """A cell for every column of `_COLUMNS`, in their order."""
    latency, candidate = item.evaluation.latency_ms, item.candidate
    tested = item.evaluation.test_accuracy
    cells = (
        str(item.number),
        f"{100 * item.accuracy:.2f}",
        f"{100 * (item.accuracy - dense.accuracy):+.2f}",
        "" if tested is None else f"{100 * tested:.2f}",
        format_macs(item.macs),
        f"{100 * item.macs / dense.macs:.1f} %",
        f"{item.evaluation.params:,}",
        "" if latency is None else f"{latency:.3g} ms",
        candidate.allocator.name,
        candidate.method.name,
        candidate.step.name if candidate.step else "",
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def plain_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = ()
) -> Table:
    """A table without lines; columns at the positions `right` hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position in right else "left")
    for row in rows:
        table.add_row(*map(str, row))
    return table


def combinations_tables(front: Front, measured: Sequence[Measured]) -> tuple[Table, Table]:
    """Which combinations reach the front, and how often every plugin was tried."""
    counted = tallies(front, measured)
    rows = [(tally.kind, tally.name, tally.on_front, tally.tried) for tally in counted]
    return (
        plain_table("Combinations on the front", COLUMNS, cells(combinations(front, measured)), right=NUMBERS),
        plain_table("\nEach of them alone", ("kind", "name", "on the front", "tried"), rows, right=(2, 3)),
    )


def _thinned(members: Sequence[Any], limit: int | None) -> Sequence[Any]:
    if limit is None or len(members) <= limit:
        return members
    positions = {round(index * (len(members) - 1) / (limit - 1)) for index in range(limit)}
    return [members[position] for position in sorted(positions)]
