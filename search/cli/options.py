"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Argument(help="Configuration, a YAML file.", show_default=False)]
Run = Annotated[str, typer.Argument(help="A run: its name, its folder, or `last`.", show_default=False)]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder of all runs.", envvar="PARETOPRUNE_RUNS")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting: key=value, such as sampler.name=nsga2. Repeatable."),
]
TARGET_HELP = "Budget in MACs: 0.45 or 45% of the dense network, 55M, or a range such as 0.3:0.8."
LATENCY_HELP = "Budget in predicted latency: 3ms, 800us, or 0.5 or 50% of the dense network's."
TargetLatency = Annotated[str | None, typer.Option("--target-latency", help=LATENCY_HELP, show_default=False)]
NO_LATENCY = ("target_latency=null", "latency={}")
"""Settings of commands that predict no latencies, whatever the file says."""
RUNS = Path("runs")
