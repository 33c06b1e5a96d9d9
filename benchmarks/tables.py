"""Rows of raw runs as CSV: a frozen dataclass is a row, its fields are the columns."""

import csv
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

Row = TypeVar("Row")


def columns(kind: type[Any]) -> list[str]:
    """The header of a kind of row."""
    return [field.name for field in fields(kind)]


def write_rows(rows: Iterable[Any], path: Path, *, kind: type[Any]) -> None:
    """A new file with all rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns(kind))
        writer.writerows([getattr(row, name) for name in columns(kind)] for row in rows)


def append_row(row: Any, path: Path) -> None:
    """One more row, on disk before this returns; the file is made where it is missing."""
    if not path.exists():
        write_rows([], path, kind=type(row))
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([getattr(row, name) for name in columns(type(row))])


def read_rows(path: Path, *, kind: type[Row]) -> list[Row]:
    """The rows of a file, numbers as numbers; none where there is no file.

    Raises:
        ValueError: the file has other columns.
    """
    if not path.exists():
        return []
    types: dict[str, Any] = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(types):
            raise ValueError(f"{path} has columns {reader.fieldnames}, needs {list(types)}")
        return [kind(**{name: types[name](text) for name, text in row.items()}) for row in reader]
