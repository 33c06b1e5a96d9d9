"""`paretoprune export`, `prune` and `mask`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import NO_LATENCY, RUNS, TARGET_HELP, ConfigFile, Run, RunsDir, Settings, TargetLatency

if TYPE_CHECKING:
    from search.config import Config, Plugin
    from search.mask import MaskReport
    from search.report import ExportReport

Target = Annotated[
    str | None, typer.Option("--target-flops", help=TARGET_HELP + " Or --target-latency, or both.", show_default=False)
]
OptionalTarget = Annotated[str | None, typer.Option("--target-flops", help=TARGET_HELP + " Default: the run's own.")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; new, or an earlier export.", show_default=False)]
Formats = Annotated[
    list[str] | None, typer.Option("--format", help="safetensors, pt2, onnx; repeatable. Default: all.")
]


def export(
    run: Run,
    out: Out,
    target_flops: OptionalTarget = None,
    target_latency: TargetLatency = None,
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
            folder,
            target_flops=target,
            target_latency=target_latency,
            out=out,
            formats=formats,
            overrides=settings or (),
            progress=display.say,
        )
    _report(report, out)


def prune(
    config: ConfigFile,
    out: Out,
    target_flops: Target = None,
    target_latency: TargetLatency = None,
    method: Annotated[
        str | None, typer.Option("--method", help="A method, or {name: fpgm, ...}. Default: the regime's reader.")
    ] = None,
    allocator: Annotated[str, typer.Option("--allocator", help="Likewise.")] = "uniform",
    step: Annotated[
        str | None, typer.Option("--step", help="What is done to the network after its last cut; likewise.")
    ] = None,
    regime: Annotated[
        str | None, typer.Option("--regime", help="Train the dense network under it first; likewise.")
    ] = None,
    regime_epochs: Annotated[
        float | None, typer.Option("--regime-epochs", help="Of that training. Default: as the fine-tuning.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Cuts, with training between them.")] = 1,
    form: Formats = None,
    settings: Settings = None,
) -> None:
    """Prune with one method to one budget, without a search; fine-tune, test, save and verify."""
    from search.config_file import parse_plugin

    before = None if regime is None else parse_plugin(regime, key="--regime")
    budgets = _budgets(target_flops, target_latency)
    steps = [] if step is None else [step]
    plugins = {"methods": [_reader(method, before)], "allocators": [allocator], "steps": steps}
    loaded = _one_budget(config, budgets, plugins=plugins, settings=settings or ())
    from search.cli.progress import Display
    from search.prune import prune_network

    with Display() as display:
        report = prune_network(
            loaded,
            out=out,
            regime=before,
            regime_epochs=regime_epochs,
            rounds=rounds,
            formats=None if form is None else frozenset(form),
            say=display.say,
        )
    _report(report, out)


def mask(
    config: ConfigFile,
    method: Annotated[
        str, typer.Option("--method", help="sap or granet, or {name: sap, rounds: 5, ...}.", show_default=False)
    ],
    out: Out,
    settings: Settings = None,
) -> None:
    """Set single weights to zero while training, as published; the network gets no smaller."""
    from search.config_file import load_config, parse_plugin

    plugin = parse_plugin(method, key="--method")
    loaded = load_config(config, overrides=[*(settings or ()), *NO_LATENCY])
    from search.cli.progress import Display
    from search.mask import check_method, mask_network
    from search.prepare import prepare
    from search.recipes import final_recipe

    check_method(plugin)
    with Display() as display:
        chosen = final_recipe(loaded)
        prepared = prepare(loaded, say=display.say)
        report = mask_network(prepared, plugin, recipe=chosen, out=out, say=display.say)
    _mask_report(report, out)


def _reader(method: str | None, regime: "Plugin | None") -> str:
    """The method that was asked for, or the regime's own."""
    from spaces import UserError

    if method is not None:
        return method
    if regime is None:
        raise UserError("--method", None, "is required, or --regime, which has a method of its own")
    from search.made import channel_regime

    return channel_regime(regime).reads


def _budgets(target_flops: str | None, target_latency: str | None) -> list[str]:
    """Settings of the budgets; with latency alone, MACs may be all that the dense network has."""
    from spaces import UserError

    if target_flops is None and target_latency is None:
        raise UserError("--target-flops", None, "is required, or --target-latency")
    latency = [] if target_latency is None else [f"target_latency={target_latency}"]
    return [f"target_flops={target_flops or '100%'}", *latency]


def _one_budget(
    config: Path, budgets: Sequence[str], *, plugins: Mapping[str, Sequence[str]], settings: Sequence[str]
) -> "Config":
    from search.config_file import load_config
    from spaces import UserError

    space = [f"space.{family}=[{', '.join(names)}]" for family, names in plugins.items()]
    loaded = load_config(config, overrides=[*settings, *space, "space.preset=methods", *budgets])
    if loaded.target.low != loaded.target.high:
        raise UserError("--target-flops", loaded.target_flops, "must be one budget here, such as 0.45 or 55M")
    return loaded


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


def _mask_report(report: "MaskReport", out: Path) -> None:
    from search.cli.tables import console, plain_table

    share = 100 * report.remaining_weights / report.num_weights
    rows = [
        ("accuracy on the test split", f"{100 * report.dense_accuracy:.2f} %", f"{100 * report.accuracy:.2f} %"),
        ("MACs", f"{report.macs:,}", f"{report.macs:,} (no smaller)"),
        ("non-zero MACs", f"{report.rounds[0].nonzero_macs:,}", f"{report.nonzero_macs:,}"),
        ("weights that are not masked", f"{report.num_weights:,}", f"{report.remaining_weights:,} ({share:.1f} %)"),
    ]
    printer = console()
    printer.print(plain_table("", ("", "dense", "masked"), rows, right=(1, 2)))
    printer.print(f"{out}: model.safetensors, architecture.json, report.json. {report.note}", highlight=False)
