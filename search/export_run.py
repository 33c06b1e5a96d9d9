"""Exporting from a run: the best member of its front under a budget, written, and made known to MLflow."""

from collections.abc import Sequence
from pathlib import Path

from pruners.step_budget import plan_before_step
from search.destination import check_destination
from search.export import OURS, chosen_formats, export_network
from search.export_formats import FORMATS
from search.flow import SearchResult, read_run
from search.made import Made, make
from search.picking import at_budget, pick
from search.prepare import Prepared, Say, final_recipe, prepare, quiet
from search.report import ExportReport
from search.run_folder import RunFolder, check_resumable, with_overrides
from search.targets import LatencyTarget, Target, format_macs
from search.tracking import tracking_uri
from search.trained import TrainedNetworks
from spaces import Candidate


def export_run(
    folder: RunFolder,
    *,
    target_flops: str,
    target_latency: str | None = None,
    out: Path,
    formats: frozenset[str] = frozenset(FORMATS),
    overrides: Sequence[str] = (),
    progress: Say = quiet,
) -> ExportReport:
    """Export the most accurate network of a run's front within a budget.

    Args:
        folder: the run, finished or not.
        target_flops: the budget; of a range, its upper end.
        target_latency: another one, of predicted latency.
        out: folder to write.
        formats: names in `FORMATS`.
        overrides: `key=value` settings on top of the run's, such as `finetune.epochs=100`.
        progress: hears of each stage, and of MLflow's answer.

    Raises:
        UserError: no network can be that small, a setting can't be changed, or as `export_network`.
    """
    formats = chosen_formats(formats)
    check_destination(out, ours=OURS)
    config = with_overrides(folder.config(), overrides)
    check_resumable(folder.config(), config)
    settings = final_recipe(config)
    result = read_run(folder)
    member = pick(result, target_flops, target_latency)
    share = member.macs / result.dense.macs
    progress(f"exporting trial {member.number}: {format_macs(member.macs)} MACs, {share:.1%} of the dense network's")
    prepared = prepare(config, folder=folder.path, known=result.dense, say=progress)
    least = prepared.analysis.cost.min_macs
    Target.parse(target_flops).resolve(dense_macs=result.dense.macs, min_macs=least, key="--target-flops")
    candidate = at_budget(result, member, target_flops)
    if candidate != member.candidate:
        progress(f"no member is that small: the decisions of trial {member.number} at {target_flops}")
    networks = TrainedNetworks(path=folder.trained, recipe=settings, seed=config.seed)
    report = export_network(
        prepared=prepared,
        candidate=_wanted(prepared, candidate, networks, member.number, say=progress),
        seed=config.seed,
        recipe=settings,
        out=out,
        formats=formats,
        progress=progress,
    )
    if config.tracking.enabled:
        progress("registering in MLflow")
        alias = budget_alias(target_flops, target_latency)
        progress(_register(result, report, out=out, trial=member.number, alias=alias))
    return report


def _wanted(
    prepared: Prepared, candidate: Candidate, networks: TrainedNetworks, number: int, *, say: Say
) -> Candidate | Made:
    """What to export: the network as it was trained after the search, one made in rounds, or a candidate to cut."""
    trained = networks.find(number, candidate)
    if trained is not None:
        say(f"taking the network that was trained after the search: trial {number}")
        plan = plan_before_step(candidate, prepared.analysis, prepared.evidence)
        network = trained.to(prepared.task.device)
        return Made(candidate=candidate, plan=plan, network=network, before={"trial": number}, trained=True)
    if candidate.rounds > 1:
        return make(prepared, candidate, recipe=networks.recipe, say=say)
    return candidate


def budget_alias(target_flops: str, target_latency: str | None = None) -> str:
    """The name of a budget among a model's versions: `flops-40` for 0.4 or 40%, `flops-55M-latency-3ms` for two."""
    amount = Target.parse(target_flops).high
    text = f"{100 * amount.value:.6g}" if amount.is_fraction else format_macs(amount.value).replace(".00", "")
    if target_latency is not None:
        limit = LatencyTarget.parse(target_latency)
        text += "-latency-" + (f"{100 * limit.value:.6g}" if limit.is_fraction else f"{limit.value:.6g}ms")
    return "flops-" + text.replace(".", "-")


def _register(result: SearchResult, report: ExportReport, *, out: Path, trial: int, alias: str) -> str:
    from search.tracking_models import Registration, try_register

    settings, runs = result.config.tracking, result.folder.path.parent
    place = Registration(
        uri=tracking_uri(settings, runs=runs),
        experiment=settings.experiment,
        runs=runs,
        model=result.folder.name,
        search_id=result.folder.search_id,
        trial=trial,
        alias=alias,
    )
    return try_register(out, report, place)
