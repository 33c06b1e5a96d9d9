"""`paretoprune export` and `prune`."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.options import RUNS, TARGET_HELP, ConfigFile, Run, RunsDir, Settings


def export(
    run: Run,
    target_flops: Annotated[str, typer.Option("--target-flops", help=TARGET_HELP)] = "",
    out: Annotated[Path, typer.Option("--out", help="Folder to write; made where missing.")] = Path(),
    runs: RunsDir = RUNS,
) -> None:
    """TODO."""


def prune(config: ConfigFile, settings: Settings = []) -> None:  # noqa: B006
    """TODO."""
