"""`paretoprune search`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import RUNS, TARGET_HELP, RunsDir, Settings, TargetLatency
from spaces import UserError

if TYPE_CHECKING:
    from search.flow import SearchResult


def search(
    config: Annotated[Path | None, typer.Argument(help="Configuration, a YAML file.", show_default=False)] = None,
    target_flops: Annotated[str | None, typer.Option("--target-flops", help=TARGET_HELP)] = None,
    target_latency: TargetLatency = None,
    trials: Annotated[int | None, typer.Option("--trials", help="Candidates to evaluate.")] = None,
    train_front: Annotated[
        int | None, typer.Option("--train-front", help="Train so many members of the front afterwards, and test them.")
    ] = None,
    settings: Settings = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", help="Go on with this run, after anything.")] = None,
    runs: RunsDir = RUNS,
) -> None:
    """Search for the Pareto front of accuracy against MACs."""
    started = time.monotonic()
    overrides = [*(settings or ())]
    if target_flops is not None:
        overrides.append(f"target_flops={target_flops}")
    if target_latency is not None:
        overrides.append(f"target_latency={target_latency}")
    if trials is not None:
        overrides.append(f"trials={trials}")
    if train_front is not None:
        overrides.append(f"train_front={train_front}")
    if resume is not None:
        if config is not None or name is not None:
            raise UserError(
                "--resume", resume, "goes on with the configuration and name that the run has; give neither"
            )
        result = _resume(resume, overrides, runs=runs)
    elif config is None:
        raise UserError("CONFIG", None, "is required, or --resume RUN")
    else:
        result = _start(config, overrides, name=name, runs=runs)
    _report(result, seconds=time.monotonic() - started)


def _start(config: Path, overrides: list[str], *, name: str | None, runs: Path) -> "SearchResult":
    from search.config_file import load_config

    loaded = load_config(config, overrides=overrides)
    from search.cli.progress import Display
    from search.flow import run_search

    with Display() as display:
        return run_search(loaded, runs=runs, name=name, watch=(display.watch,), say=display.say)


def _resume(run: str, overrides: list[str], *, runs: Path) -> "SearchResult":
    from search.run_folder import check_resumable, find_run, with_overrides

    folder = find_run(run, runs=runs)
    old = folder.config()
    new = with_overrides(old, overrides)
    check_resumable(old, new, trained=folder.trained.exists())
    from search.cli.progress import Display
    from search.flow import resume_search

    with Display() as display:
        return resume_search(folder, new, watch=(display.watch,), say=display.say)


def _report(result: "SearchResult", *, seconds: float) -> None:
    from search.cli.proxy_tables import print_report
    from search.cli.tables import console, front_table

    out = console()
    out.print(front_table(result.front, dense=result.dense, title=f"Pareto front of {result.folder.name}"))
    answered = len({item.number for item in result.measured})
    out.print(
        f"{answered} candidates in {seconds:.0f} s; hypervolume {result.front.hypervolume():.4f}; "
        f"dense network {100 * result.dense.accuracy:.2f} % on the search split",
        highlight=False,
    )
    if result.report is not None:
        print_report(result.report, out)
        out.print()
    run = _shown(result.folder.path)
    if result.exhausted:
        out.print("The space holds no further networks: fewer candidates than asked for.", highlight=False)
    if result.stopped is not None:
        if result.trouble:
            typer.echo(result.trouble, err=True)
        typer.secho(f"error: the search stopped: {result.stopped}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1)
    if not result.finished:
        out.print(f"Interrupted; go on with: paretoprune search --resume {run}", highlight=False, soft_wrap=True)
        raise typer.Exit(130)
    out.print(f"See it:    paretoprune ui {run}", highlight=False, soft_wrap=True)
    out.print(f"Take one:  paretoprune export {run} --target-flops 0.5 --out pruned", highlight=False, soft_wrap=True)


def _shown(folder: Path) -> str:
    """How other commands, started here, find the run."""
    return folder.name if folder.parent == RUNS.resolve() else str(folder)
