"""`paretoprune latency`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import NO_LATENCY, ConfigFile, Settings

if TYPE_CHECKING:
    from pruners.latency import LatencyModel
    from pruners.latency_measure import Comparison

CHECKED = 8
"""Random networks that the table is tried on."""


def latency(
    config: ConfigFile,
    out: Annotated[Path, typer.Option("--out", help="File to write, JSON.", show_default=False)],
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images per pass. Default: the file's.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda. Default: the file's.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Of the processor. Default: torch's.")] = None,
    settings: Settings = None,
) -> None:
    """Measure a network's layers on this device: what latencies are predicted from, here or elsewhere."""
    from search.config_file import load_config

    batch_size = batch or load_config(config, overrides=settings or ()).latency.batch_size
    chosen = [] if device is None else [f"device={device}"]
    loaded = load_config(config, overrides=[*(settings or ()), *chosen, *NO_LATENCY])
    from pruners.latency import LatencyModel
    from pruners.latency_measure import compare, measure_table
    from search.cli.progress import Display
    from search.latency import write_table
    from search.prepare import examined

    with _threads(threads), Display() as display:
        task, model, analysis = examined(loaded)
        table = measure_table(model, task.example, analysis, batch_size=batch_size, say=display.say)
        write_table(table, out)
        display.say("trying it on other networks")
        predictions = LatencyModel(table, analysis.groups, analysis.cost)
        found = compare(model, task.example, analysis, predictions, count=CHECKED)
    _report(found, predictions, out)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _report(found: "Comparison", predictions: "LatencyModel", out: Path) -> None:
    from search.cli.tables import console, plain_table

    rows = [
        (f"{real:.3g} ms", f"{guess:.3g} ms", f"{100 * (guess / real - 1):+.1f} %")
        for real, guess in sorted(zip(found.measured, found.predicted, strict=True))
    ]
    table, printer = predictions.table, console()
    title = f"{len(rows)} random networks that the table was not fitted to"
    printer.print(plain_table(title, ("measured", "predicted", "error"), rows, right=(0, 1, 2)))
    threads = f"{table.threads} thread{'' if table.threads == 1 else 's'}"
    printer.print(
        f"\nmedian error {100 * found.median_error:.1f} %, rank correlation {found.rank_correlation:.2f}; "
        f"dense network {predictions.dense_ms:.3g} ms, smallest in reach {predictions.smallest_ms:.3g} ms, "
        f"batch {table.batch_size} on {table.device}, {threads}",
        highlight=False,
    )
    printer.print(f"Use it with: --set latency.table={out} --target-latency 0.5", highlight=False, soft_wrap=True)
