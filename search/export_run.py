"""Exporting from a run: which member of its front, and where MLflow learns of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.export import EXPORT_RECIPE, chosen_formats, export_network
from search.export_formats import FORMATS
from search.flow import SearchResult, read_run
from search.front import Measured
from search.prepare import Say, prepare, quiet, recipe
from search.report import ExportReport
from search.run_folder import RunFolder
from search.targets import Target, format_macs
from spaces import UserError


def export_run(
    folder: RunFolder,
    *,
    target: str | None = None,
    out: Path,
    formats: frozenset[str] = frozenset(FORMATS),
    finetune: Mapping[str, Any] | None = None,
    progress: Say = quiet,
) -> ExportReport:
    """Export the most accurate network of a run's front within a budget.

    Args:
        folder: the run, finished or not.
        target: the budget; by default the run's own, where that is one budget and not a range.
        out: folder to write.
        formats: names in `FORMATS`.
        finetune: training options on top of the run's own `finetune`.
        progress: hears of each stage and of warnings.

    Raises:
        UserError: a budget below every member of the front, or no budget, or as `export_network`.
    """
    chosen_formats(formats)
    result = read_run(folder)
    member = pick(result, target)
    settings = recipe({**result.config.finetune, **(finetune or {})}, key="finetune", base=EXPORT_RECIPE)
    share = member.macs / result.dense.macs
    progress(f"trial {member.number}: {format_macs(member.macs)} MACs, {share:.1%} of dense")
    prepared = prepare(result.config, folder=folder.path, say=progress)
    report = export_network(
        prepared=prepared,
        candidate=member.candidate,
        seed=result.config.seed,
        recipe=settings,
        out=out,
        formats=formats,
        progress=progress,
    )
    if result.config.tracking.enabled:
        alias = budget_alias(target or result.config.target_flops)
        _register(result, member, out=out, report=report, alias=alias, progress=progress)
    return report


def pick(result: SearchResult, target: str | None) -> Measured:
    """The most accurate member of the front within the budget.

    Raises:
        UserError: the budget can't be read, is missing, or lies below every member.
    """
    text = target or result.config.target_flops
    wanted = Target.parse(text, key="--target-flops")
    if target is None and wanted.low != wanted.high:
        raise UserError("--target-flops", None, f"is required: the run searched the range {text}")
    budget = wanted.high.macs(result.dense.macs)
    member = result.front.best_under(budget)
    if member is None and not result.front.members:
        raise UserError("run", result.folder.name, "its front is empty; `paretoprune search --resume` goes on with it")
    if member is None:
        least = result.front.members[0].macs
        rule = (
            f"is {format_macs(budget)} MACs, less than the smallest network that this run found: "
            f"{format_macs(least)}, {least / result.dense.macs:.3f} of dense"
        )
        raise UserError("--target-flops", text, rule)
    return member


def budget_alias(target: str) -> str:
    """The name of a budget among a model's versions: `flops-40` for 0.4 or 40%, `flops-55M` for 55M."""
    amount = Target.parse(target).high
    text = f"{100 * amount.value:.6g}" if amount.is_fraction else format_macs(amount.value).replace(".00", "")
    return "flops-" + text.replace(".", "-")


def _register(
    result: SearchResult, member: Measured, *, out: Path, report: ExportReport, alias: str, progress: Say
) -> None:
    from search.tracking import tracking_uri
    from search.tracking_models import Registration, try_register

    settings, runs = result.config.tracking, result.folder.path.parent
    place = Registration(
        uri=tracking_uri(settings, runs=runs),
        experiment=settings.experiment,
        runs=runs,
        search_id=result.folder.name,
        trial=member.number,
        alias=alias,
    )
    progress("registering in MLflow")
    progress(try_register(out, report, place))
