"""`paretoprune front`, `inspect` and `list`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.options import RUNS, ConfigFile, Run, RunsDir, Settings
from spaces import UserError

if TYPE_CHECKING:
    from pruners import Analysis
    from search.flow import SearchResult


class Format(StrEnum):
    """How a front is printed."""

    table = "table"
    json = "json"
    csv = "csv"


def front(
    run: Run,
    form: Annotated[Format, typer.Option("--format", help="table, json or csv.")] = Format.table,
    combined: Annotated[
        bool,
        typer.Option("--combinations", help="Which allocators, methods and steps are on it, instead of its members."),
    ] = False,
    proxies: Annotated[
        bool,
        typer.Option("--proxies", help="Instead: how rungs rank candidates, where time went, random search beside it."),
    ] = False,
    runs: RunsDir = RUNS,
) -> None:
    """Print the Pareto front of a run, finished or not."""
    from search.flow import read_run
    from search.run_folder import find_run

    result = read_run(find_run(run, runs=runs))
    if combined and proxies:
        raise UserError("--proxies", "with --combinations", "each replaces the front; give one of them")
    if combined:
        return _show_combinations(result, form)
    if proxies:
        return _show_report(result, form)
    rows = result.front.rows()
    if form is Format.csv:
        _print_csv(rows, empty="trial")
    elif form is Format.json:
        dense = asdict(result.dense)
        hypervolume = result.front.hypervolume()
        data = {"run": result.folder.name, "dense": dense, "fidelity": result.front.fidelity}
        typer.echo(json.dumps({**data, "hypervolume": hypervolume, "front": rows}, indent=1))
    else:
        from search.cli.tables import console, front_table

        title = f"Pareto front of {result.folder.name}"
        console().print(front_table(result.front, dense=result.dense, title=title))


def _show_report(result: "SearchResult", form: Format) -> None:
    assert result.report is not None
    if form is Format.csv:
        raise UserError("--format", form.value, "can't hold a proxy report", choices=("table", "json"))
    if form is Format.json:
        return typer.echo(json.dumps({"run": result.folder.name, **result.report.to_dict()}, indent=1))
    from search.cli.proxy_tables import print_report
    from search.cli.tables import console

    print_report(result.report, console())


def _show_combinations(result: "SearchResult", form: Format) -> None:
    from dataclasses import asdict

    from search.combinations import combinations, tallies

    found = combinations(result.front, result.measured)
    rows = [asdict(item) for item in found]
    if form is Format.csv:
        return _print_csv(rows, empty="allocator")
    if form is Format.json:
        each = [asdict(tally) for tally in tallies(result.front, result.measured)]
        return typer.echo(json.dumps({"run": result.folder.name, "combinations": rows, "plugins": each}, indent=1))
    from search.cli.tables import combinations_tables, console

    for table in combinations_tables(result.front, result.measured):
        console().print(table)


def _print_csv(rows: Sequence[Mapping[str, object]], *, empty: str) -> None:
    """Rows under their keys; without any, the first key alone."""
    import csv

    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]) if rows else [empty])
    writer.writeheader()
    writer.writerows(rows)


def inspect(
    config: ConfigFile,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Measure instead what each group costs when it alone is cut.")
    ] = False,
    ratios: Annotated[
        str | None, typer.Option("--ratios", help="With --sensitivity: fractions to remove. Default: 0.25,0.5,0.75.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="With --sensitivity: what chooses the channels. Default: l2.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --sensitivity: folder for sensitivity.csv and sensitivity.png.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Show groups, MACs and parameters per layer, and what can't be pruned and why."""
    if sensitivity:
        from search.cli.sensitivity_tables import show_sensitivity

        return show_sensitivity(config, method=method, ratios=ratios, out=out, settings=settings or ())
    for name, value in (("--ratios", ratios), ("--method", method), ("--out", out)):
        if value is not None:
            raise UserError(name, str(value), "needs --sensitivity")
    _show_structure(config, settings)


def _show_structure(config: Path, settings: list[str] | None) -> None:
    from search.config_file import load_config

    loaded = load_config(config, overrides=settings or ())
    from search.cli.tables import console, plain_table
    from search.prepare import survey
    from search.targets import format_macs

    analysis = survey(loaded)
    cost, out = analysis.cost, console()
    out.print(_groups_table(analysis))
    layers = cost.layers(cost.dense)
    rows = [(x.name, x.kind, f"{x.macs:,}", f"{100 * x.macs / cost.dense_macs:.1f} %", f"{x.params:,}") for x in layers]
    out.print(plain_table("\nLayers", ("layer", "kind", "MACs", "share", "parameters"), rows, right=(2, 3, 4)))
    if analysis.dense:
        out.print(_dense_table(analysis))
    out.print(
        f"\n{cost.dense_macs:,} MACs ({cost.dense_thop:,} by thop), {cost.dense_params:,} parameters; "
        f"reachable budgets: {cost.min_macs / cost.dense_macs:.3f} to 1, "
        f"{format_macs(cost.min_macs)} to {format_macs(cost.dense_macs)} MACs",
        highlight=False,
    )


def list_plugins(kind: Annotated[str, typer.Argument(help="methods, allocators, steps, ...")] = "") -> None:
    """List methods, allocators, steps, regimes, proxies, models, samplers or datasets, each with its paper."""
    kinds = ("methods", "allocators", "steps", "regimes", "proxies", "models", "samplers", "datasets")
    if kind not in kinds:
        raise UserError("KIND", kind or None, "is no list" if kind else "is required", choices=kinds)
    from search.cli.tables import console, plain_table
    from search.plugin_spaces import registry_of

    rows = []
    for entry in registry_of(kind):
        domains = ", ".join(f"{name} {domain}" for name, domain in entry.domains.items())
        rows.append((entry.name, entry.paper, entry.summary, domains))
    columns = ("name", "paper", "what it does", "hyper-parameters")
    console().print(plain_table(kind, columns, rows))
    if kind == "models":
        console().print(
            "\nalso every classification network of torchvision by name, and your own as package.module:function"
        )


def _groups_table(analysis: "Analysis") -> object:
    from search.cli.tables import plain_table

    costs = {layer.name: layer for layer in analysis.cost.layers(analysis.cost.dense)}
    rows = []
    for group in analysis.groups:
        layers = {piece.tensor.rsplit(".", maxsplit=1)[0] for piece in group.slices}
        touched = [costs[name] for name in layers if name in costs]
        macs = sum(layer.macs for layer in touched) / analysis.cost.dense_macs
        params = sum(layer.params for layer in touched) / analysis.cost.dense_params
        rules = f"{group.min_keep}..{group.max_keep}" + (f" by {group.multiple_of}" if group.multiple_of > 1 else "")
        rows.append((group.name, group.stage, group.width, rules, len(layers), _percent(macs), _percent(params)))
    columns = ("group", "stage", "channels", "may keep", "layers touched", "their share of MACs", "of parameters")
    return plain_table("Channel groups", columns, rows, right=(2, 3, 4, 5, 6))


def _dense_table(analysis: "Analysis") -> object:
    from search.cli.tables import plain_table

    cost = analysis.cost
    macs = {layer.name: layer.macs for layer in cost.layers(cost.dense)}
    rows = []
    for item in analysis.dense:
        layers = item.layers or (item.name,)
        share = sum(macs.get(name, 0) for name in layers) / cost.dense_macs
        rows.append((item.name, len(layers), item.width, _percent(share), item.reason))
    columns = ("layer", "layers", "channels", "their share of MACs", "why")
    return plain_table("\nLeft as it is", columns, rows, right=(1, 2, 3))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
