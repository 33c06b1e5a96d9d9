"""Exporting from a run: the best member of its front under a budget, written, and made known to MLflow."""

from collections.abc import Sequence
from pathlib import Path

from pruners.step_budget import plan_before_step
from search.destination import check_destination
from search.export import OURS, chosen_formats, export_network
from search.export_formats import FORMATS
from search.flow import SearchResult, read_run
from search.front import Measured
from search.made import Made, make
from search.picking import best_at, pick
from search.prepare import Prepared, Say, prepare, quiet
from search.recipes import final_recipe
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
    prepared = prepare(config, folder=folder.path, known=result.dense, say=progress)
    answer = member
    if target_latency is None:
        answer = best_at(result, prepared, member=member, target_flops=target_flops, say=progress)
    progress(_choice(answer, member, result))
    networks = TrainedNetworks(path=folder.trained, recipe=settings, seed=config.seed)
    report = export_network(
        prepared=prepared,
        candidate=_wanted(prepared, answer.candidate, networks, answer.number, say=progress),
        seed=config.seed,
        recipe=settings,
        out=out,
        formats=formats,
        progress=progress,
    )
    if config.tracking.enabled:
        progress("registering in MLflow")
        alias = budget_alias(target_flops, target_latency)
        progress(_register(result, report, out=out, trial=answer.number, alias=alias))
    return report


def _choice(answer: Measured, member: Measured, result: SearchResult) -> str:
    """What is exported, in a sentence."""
    macs = answer.macs
    size = f"{format_macs(macs)} MACs, {macs / result.dense.macs:.1%} of the dense network's"
    if answer == member:
        return f"exporting trial {answer.number}: {size}"
    if answer in result.measured:
        return f"exporting trial {answer.number}, which accuracy does not tell from trial {member.number}: {size}"
    return f"exporting trial {answer.number}'s decisions at this budget: {size}"


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
