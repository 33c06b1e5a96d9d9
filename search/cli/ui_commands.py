"""`paretoprune ui` and `sync`."""

from typing import Annotated

import typer

from search.cli.options import RUNS, Run, RunsDir


def ui(
    run: Run,
    port: Annotated[int | None, typer.Option("--port", help="Port on this machine; by default a free one.")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    runs: RunsDir = RUNS,
) -> None:
    """Open MLflow on the Pareto front of a run."""
    from search.run_folder import find_run

    folder = find_run(run, runs=runs)
    from search.tracking_server import serve
    from search.tracking_sync import sync_run

    place = sync_run(folder)
    serve(place, port=port, browser=browser, say=typer.echo)


def sync(run: Run, runs: RunsDir = RUNS) -> None:
    """Make the MLflow view of a run again from its study."""
    from search.run_folder import find_run

    folder = find_run(run, runs=runs)
    from search.tracking_sync import sync_run

    place = sync_run(folder)
    typer.echo(f"{place.num_trials} trials of {folder.name} are in {place.uri}, experiment {place.experiment!r}")
