"""The tables of raw rows as one page."""

from pathlib import Path

from benchmarks.overhead.asks import ASKS, AskRow
from benchmarks.overhead.searches import SEARCHES, SearchRow
from benchmarks.tables import read_rows


def write_summary(out: Path) -> str:
    """Write and return DIR/summary.md."""
    searches = read_rows(out / SEARCHES, kind=SearchRow)
    asks = read_rows(out / ASKS, kind=AskRow)
    text = "\n".join([*_searches(searches), *_asks(asks)])
    (out / "summary.md").write_text(text + "\n", encoding="utf-8")
    return text


def _searches(rows: list[SearchRow]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Searches",
        "",
        "Overhead: share of the workers' time, between the first evaluation's begin and the last hand-out, in which "
        "they did not evaluate. Seconds unless said otherwise; load is the machine's before and after.",
        "",
        "| search | workers | evaluations | whole | preparation | start-up | window | evaluation, s each | overhead | "
        "overhead, s each | ask, ms each | tell, ms each | MLflow's thread, ms each | ending | load |",
        "|---|" + "---|" * 14,
    ]
    for row in rows:
        lost = (row.workers * row.window - row.busy) / max(1, row.evaluations)
        per = 1e3 / max(1, row.evaluations)
        cells = (
            row.label,
            row.workers,
            row.evaluations,
            *(f"{value:.1f}" for value in (row.total, row.prepare, row.start_up, row.window)),
            f"{row.evaluation:.2f}",
            f"**{100 * row.overhead:.1f} %**",
            f"{lost:.3f}",
            *(f"{per * value:.1f}" for value in (row.ask, row.tell, row.tracking)),
            f"{row.ending:.1f}",
            f"{row.load_before:.1f}, {row.load_after:.1f}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return [*lines, ""]


def _asks(rows: list[AskRow]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Drawing a candidate",
        "",
        "Milliseconds of one ask, candidate decoded and written down; the first one after a start reads the study.",
        "",
        "| sampler | storage | trials | parameters | median | worst | processor time | first | load |",
        "|---|" + "---|" * 8,
    ]
    for row in rows:
        lines.append(
            f"| {row.sampler} | {row.storage} | {row.trials} | {row.parameters} | {row.median_ms:.0f} "
            f"| {row.worst_ms:.0f} | {row.cpu_ms:.0f} | {row.first_ms:.0f} | {row.load:.1f} |"
        )
    return lines
