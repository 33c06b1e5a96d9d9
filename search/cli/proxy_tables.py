"""The proxy report on the console."""

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType

from search.cli.tables import plain_table
from search.proxy_report import FEWEST, Comparison, Curve, ProxyReport
from search.rank_correlation import Agreement, estimate_text
from search.stopwatch import Timings


def print_report(report: ProxyReport, out: Console) -> None:
    """All of it."""
    for part in proxy_tables(report):
        out.print(part, highlight=False, soft_wrap=isinstance(part, str))


def proxy_tables(report: ProxyReport) -> Iterator[RenderableType]:
    """Tables and lines: what predicts what, where time went, what random search would have found."""
    yield from _ranks(report)
    if report.stages:
        rows = [(stage.name, f"{stage.seconds:.1f}", f"{100 * stage.share:.1f} %") for stage in report.stages]
        yield plain_table("\nWhere the evaluations' time went", ("part", "seconds", "share"), rows, right=(1, 2))
    for timings in report.timings:
        yield _timings(timings)
    yield from _curves(report)


def _ranks(report: ProxyReport) -> Iterator[RenderableType]:
    if report.num_rungs == 1:
        yield "\nOne rung: nothing dearer says whether it ranks candidates right; a second rung would."
    if not report.comparisons:
        yield f"Fewer than {FEWEST} candidates were measured: no rank correlations."
        return
    columns = ("this", "against accuracy on", "candidates", "Spearman", "Kendall", "at equal MACs", "Kendall")
    rows = [_row(comparison) for comparison in report.comparisons]
    yield plain_table("\nDoes the cheap rank like the dear?", columns, rows, right=(2,))
    yield (
        "Rank correlations with 95 % intervals. Larger networks are better on every rung, so the budget alone explains "
        "most of the first two; at equal MACs is what a search needs."
    )
    if report.num_rungs > 1:
        yield "Only promoted candidates are measured twice: their range is restricted, which lowers all correlations."


def _row(comparison: Comparison) -> Sequence[object]:
    overall, equal = comparison.overall, comparison.at_equal_macs
    return (comparison.cheap, comparison.dear, overall.num, *_pair(overall), *_pair(equal))


def _pair(agreement: Agreement) -> tuple[str, str]:
    return estimate_text(agreement.spearman), estimate_text(agreement.kendall)


def _timings(timings: Timings) -> str:
    workers = f"{timings.workers} worker" + ("s" if timings.workers > 1 else "")
    waited = f"{100 * timings.overhead:.1f} % of {'their' if timings.workers > 1 else 'its'} time was waiting"
    driver = [("ask", timings.ask), ("tell", timings.tell), ("MLflow's thread", timings.tracking)]
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in driver)
    return (
        f"\n{timings.evaluations} evaluations on {workers}: {timings.prepare:.1f} s of preparation, "
        f"{timings.start_up:.1f} s until the first one began; over the {timings.window:.1f} s from there to the last "
        f"hand-out, {waited}. The driver: {parts}."
    )


def _curves(report: ProxyReport) -> Iterator[str]:
    search = [curve for curve in report.curves if curve.who == "search" and curve.values]
    random = {curve.fidelity: curve for curve in report.curves if curve.who == "random" and curve.values}
    for curve in search:
        yield curve_text(curve, random.get(curve.fidelity), report.catches_up(curve.fidelity))
    if search and not random:
        num = len(search[0].values)
        yield f"Random search beside it, at the price of as many evaluations again: --set baseline={num}"


def curve_text(search: Curve, random: Curve | None, caught_up: int | None) -> str:
    """Hypervolumes of one rung at equal numbers of candidates."""
    text = f"\nHypervolume on {search.rung}: {search.values[-1]:.4f} after {len(search.values)} candidates"
    if random is None:
        return text
    num = min(len(search.values), len(random.values))
    text += f"; at {num} the search has {search.values[num - 1]:.4f}, random search {random.values[num - 1]:.4f}"
    if caught_up is None:
        return f"{text}; the search never reached random search's last value"
    return f"{text}; the search reached random search's last value, {random.values[-1]:.4f}, after {caught_up}"
