"""`paretoprune export` and `prune`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import RUNS, TARGET_HELP, ConfigFile, Run, RunsDir, Settings

if TYPE_CHECKING:
    from search.prepare import Prepared
    from search.report import ExportReport
    from spaces import Candidate

Target = Annotated[str, typer.Option("--target-flops", help=TARGET_HELP, show_default=False)]
OptionalTarget = Annotated[str | None, typer.Option("--target-flops", help=TARGET_HELP + " Default: the run's own.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; new, or an earlier export.", show_default=False)]
Formats = Annotated[
    list[str] | None, typer.Option("--format", help="safetensors, pt2, onnx; repeatable. Default: all.")
]


def export(
    run: Run,
    out: Out,
    target_flops: OptionalTarget = None,
    form: Formats = None,
    settings: Settings = None,
    runs: RunsDir = RUNS,
) -> None:
    """Fine-tune, test, save and verify the best network of a run under a budget."""
    from search.run_folder import find_run

    folder = find_run(run, runs=runs)
    target = target_flops or folder.config().target_flops
    from search.cli.progress import Display
    from search.export_formats import FORMATS
    from search.export_run import export_run

    with Display() as display:
        formats = frozenset(form or FORMATS)
        report = export_run(
            folder, target_flops=target, out=out, formats=formats, overrides=settings or (), progress=display.say
        )
    _report(report, out)


def prune(
    config: ConfigFile,
    method: Annotated[str, typer.Option("--method", help="A method, or {name: fpgm, ...}.", show_default=False)],
    target_flops: Target,
    out: Out,
    allocator: Annotated[str, typer.Option("--allocator", help="Likewise.")] = "uniform",
    form: Formats = None,
    settings: Settings = None,
) -> None:
    """Prune with one method to one budget, without a search; fine-tune, test, save and verify."""
    from search.config_file import load_config
    from spaces import UserError

    plugins = [f"space.methods=[{method}]", f"space.allocators=[{allocator}]", "space.preset=methods"]
    loaded = load_config(config, overrides=[*(settings or ()), *plugins, f"target_flops={target_flops}"])
    if loaded.target.low != loaded.target.high:
        raise UserError("--target-flops", target_flops, "must be one budget here, such as 0.45 or 55M")
    from search.cli.progress import Display
    from search.flow import prepare

    with Display() as display:
        prepared = prepare(loaded, say=display.say)
        report = _write(prepared, next(prepared.space.anchors()), out=out, formats=form, say=display.say)
    _report(report, out)


def _write(
    prepared: "Prepared", candidate: "Candidate", *, out: Path, formats: list[str] | None, say: Callable[[str], None]
) -> "ExportReport":
    from search.export import EXPORT_RECIPE, export_network
    from search.export_formats import FORMATS
    from search.prepare import recipe

    return export_network(
        prepared=prepared,
        candidate=candidate,
        seed=prepared.config.seed,
        recipe=recipe(prepared.config.finetune, key="finetune", base=EXPORT_RECIPE),
        out=out,
        formats=frozenset(formats or FORMATS),
        progress=say,
    )


def _report(report: "ExportReport", out: Path) -> None:
    from search.cli.tables import console, plain_table

    dense, pruned = report.dense, report.pruned
    rows = [
        ("accuracy on the test split", f"{100 * dense.accuracy:.2f} %", f"{100 * pruned.accuracy:.2f} %"),
        ("MACs", f"{dense.macs:,}", f"{pruned.macs:,} ({100 * pruned.macs / dense.macs:.1f} %)"),
        ("parameters", f"{dense.params:,}", f"{pruned.params:,} ({100 * pruned.params / dense.params:.1f} %)"),
        ("size of the weights", f"{dense.size_bytes:,} B", f"{pruned.size_bytes:,} B"),
    ]
    printer = console()
    printer.print(plain_table("", ("", "dense", "pruned"), rows, right=(1, 2)))
    names = ", ".join(name for check in report.files for name in check.files)
    printer.print(f"{out}: {names}, report.json, report.html; every file was loaded again and checked", highlight=False)
