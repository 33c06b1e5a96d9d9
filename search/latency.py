"""Latency tables as files: read what a user or an earlier start of the run has measured, or measure and keep it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from pruners import Analysis
from pruners.latency import FORMAT, LatencyModel, LatencyTable
from pruners.latency_measure import measure_table
from search.config import Config
from spaces import UserError

KEY = "latency.table"
LATENCY_FILE = "latency.json"
"""In the folder of a run: the table that it steers by."""


def read_table(path: Path) -> LatencyTable:
    """The table in a file.

    Raises:
        UserError: it is missing, no table, or one that makes no sense.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(KEY, str(path), f"can't be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(KEY, str(path), f"is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UserError(KEY, str(path), "is no latency table; `paretoprune latency CONFIG --out FILE` measures one")
    try:
        return TypeAdapter(LatencyTable).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Value error, ")
        raise UserError(KEY, str(path), f"{place}: {rule}" if place else rule) from error


def write_table(table: LatencyTable, path: Path) -> None:
    """Keep a table as JSON.

    Raises:
        UserError: the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(table.to_dict(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError("--out", str(path), f"can't be written: {error.strerror}") from error


def latency_model(
    config: Config,
    model: nn.Module,
    example: Tensor,
    analysis: Analysis,
    *,
    kept: Path | None,
    say: Callable[[str], None],
) -> LatencyModel | None:
    """The predictions that a search steers by; None where it is not asked to.

    Args:
        config: of the run.
        model: the dense network, which is measured where there is no table.
        example: one image (1, C, H, W), where the network is.
        analysis: of the network.
        kept: the run's own copy of its table: read if it is there, else written; None keeps none.
        say: hears of each stage.

    Raises:
        UserError: the table can't be used.
        InfeasibleError: the budget is out of reach; the message has the range.
    """
    if not config.wants_latency:
        return None
    if kept is not None and kept.is_file():
        table = read_table(kept)
    elif config.latency.table is not None:
        table = read_table(Path(config.latency.table))
    else:
        table = measure_table(model, example, analysis, batch_size=config.latency.batch_size, say=say)
    found = LatencyModel(table, analysis.groups, analysis.cost)
    target = config.latency_target
    if target is not None:
        found = found.limited(target.resolve(dense_ms=found.dense_ms, smallest_ms=found.smallest_ms))
        say(f"latency: dense {found.dense_ms:.3g} ms on {table.device}, candidates at most {found.limit_ms:.3g} ms")
    if kept is not None and not kept.is_file():
        write_table(table, kept)
    return found
