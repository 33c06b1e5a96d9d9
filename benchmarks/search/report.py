"""The table and the plot, from runs.csv alone."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from benchmarks.search.rows import DENSE, RUNS, Run
from benchmarks.tables import read_rows
from search.front import hypervolume
from spaces import UserError

TITLES = {
    "searched": "paretoprune search",
    "searched-40": "paretoprune search, rung of 40 steps",
    "targeted": "paretoprune, that budget alone",
    "targeted-20": "paretoprune, that budget alone, rung of 20 steps",
    "targeted-40": "paretoprune, that budget alone, rung of 40 steps",
    "random": "random search, same ladder",
    "obs-refitted": "uniform, OBS, refitted (no search)",
    "spdy-refitted": "SPDY, OBS, refitted (no search)",
    "uniform-l1": "uniform, L1",
    "uniform-l2": "uniform, L2",
    "uniform-fpgm": "uniform, FPGM",
    "global-l2": "global L2",
    "global-taylor": "global Taylor",
    "clr-rnf": "CLR + RNF",
    "sap": "SAP allocator, L1",
    "wsp": "WSP",
    "spdy": "SPDY allocator, L2",
    "tp-uniform-l2": "Torch-Pruning, uniform L2",
    "tp-global-l2": "Torch-Pruning, global L2",
    "tp-global-taylor": "Torch-Pruning, global Taylor",
    "fastnas": "modelopt FastNAS",
}
CONFIDENCE = 0.95


def report(options: argparse.Namespace) -> None:
    """Write OUT/table.md and a plot for each network and protocol.

    Raises:
        UserError: there are no rows.
    """
    from benchmarks.search.plot import plot

    rows = read_rows(options.out / RUNS, kind=Run)
    if not rows:
        raise UserError("--out", str(options.out), f"has no {RUNS} with rows; run `finetune` first")
    sections = []
    for network, protocol in dict.fromkeys((row.network, row.protocol) for row in rows):
        mine = Results(tuple(row for row in rows if (row.network, row.protocol) == (network, protocol)))
        sections.append(section(mine))
        number = "" if not sections[1:] else f"-{len(sections)}"
        plot(mine, options.out / f"plot{number}.png")
    text = "\n".join(sections)
    (options.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


def title(name: str) -> str:
    """A contender's name for people."""
    kind, _, seed = name.partition("@")
    return TITLES.get(kind, kind) + (f" (seed {seed})" if seed else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with the half width of its confidence interval; None of a single value."""

    mean: float
    half: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval":
        """Student's t over the values, which are taken for independent."""
        from scipy.stats import t

        if len(values) < 2:
            return cls(mean=fmean(values), half=None)
        quantile = float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
        return cls(mean=fmean(values), half=quantile * stdev(values) / len(values) ** 0.5)

    def text(self, digits: int) -> str:
        """For a cell."""
        half = "" if self.half is None else f" ± {self.half:.{digits}f}"
        return f"{self.mean:.{digits}f}{half}"


class Results:
    """The rows of one network under one protocol."""

    def __init__(self, rows: tuple[Run, ...]) -> None:
        self.dense = next((row for row in rows if row.contender == DENSE), None)
        self.rows = tuple(row for row in rows if row.contender != DENSE)
        self.network, self.protocol = rows[0].network, rows[0].protocol
        self.dense_macs = rows[0].dense_macs
        names = dict.fromkeys(row.contender for row in self.rows)
        self.contenders = sorted(names, key=lambda name: order(name, list(TITLES)))
        self.budgets = sorted({row.budget for row in self.rows}, key=lambda label: (float(label.split("@")[-1]), label))

    def of(self, contender: str, budget: str) -> list[Run]:
        """The runs of one cell, by seed."""
        mine = [row for row in self.rows if row.contender == contender and row.budget == budget]
        return sorted(mine, key=lambda row: row.seed)

    def accuracy(self, contender: str, budget: str) -> Interval | None:
        """In %; None where there is no run."""
        runs = self.of(contender, budget)
        return Interval.of([100 * run.accuracy for run in runs]) if runs else None

    def repeats(self, contender: str) -> list[str]:
        """The searches that differ from it by their seed alone, itself among them, in the table's order."""
        kind = contender.partition("@")[0]
        return [name for name in self.contenders if name.partition("@")[0] == kind]

    def over_searches(self, repeats: Sequence[str], budget: str) -> Interval | None:
        """Over the means of several searches; None where one has no run."""
        found = [self.accuracy(name, budget) for name in repeats]
        means = [interval.mean for interval in found if interval is not None]
        return Interval.of(means) if len(means) == len(found) else None

    def volume(self, contender: str) -> Interval | None:
        """Hypervolume over all budgets of the table, one per seed; None where a run is missing."""
        runs = [run for budget in self.budgets for run in self.of(contender, budget)]
        seeds = {run.seed for run in runs}
        if not seeds or len(runs) != len(self.budgets) * len(seeds):
            return None
        points = {
            seed: [(run.accuracy, run.macs / run.dense_macs) for run in runs if run.seed == seed] for seed in seeds
        }
        return Interval.of([hypervolume(found) for found in points.values()])


def order(name: str, known: Sequence[str]) -> tuple[int, str]:
    """Contenders in the order of their titles, further seeds of a search beside it."""
    kind = name.partition("@")[0]
    return (known.index(kind) if kind in known else len(known), name)


def section(results: Results) -> str:
    """One network's tables."""
    count = len({row.seed for row in results.rows})
    seeds = "one seed" if count == 1 else f"{count} seeds"
    lines = [
        f"## {results.network}",
        "",
        f"Test accuracy in %, mean ± half of the 95 % interval (t, {seeds} of the fine-tuning), the same "
        f"fine-tuning for all: {results.protocol}. {dense_line(results)} Best of each column in bold; intervals do not "
        "cover the choice of the networks, but for the rows over several searches: the mean of each search's mean.",
        "",
        *accuracies(results),
        "",
        "MACs as a share of the dense ones (the budget where a contender fills it) / parameters in thousands:",
        "",
        *sizes(results),
        "",
        environment_line(results),
    ]
    return "\n".join(lines) + "\n"


def dense_line(results: Results) -> str:
    """What everything is cut from."""
    if results.dense is None:
        return f"Dense: {results.dense_macs:,} MACs."
    dense = results.dense
    return f"Dense: {100 * dense.accuracy:.2f} %, {dense.macs:,} MACs, {dense.params:,} parameters."


def environment_line(results: Results) -> str:
    """Where and with what."""
    devices = sorted({row.device for row in results.rows})
    versions = sorted({part.strip() for row in results.rows for part in row.versions.split(";")} - {""})
    return f"Fine-tuned on {', '.join(devices)}; made with {', '.join(versions)}."


def accuracies(results: Results) -> Iterable[str]:
    """Accuracy, hypervolume and what the choice cost."""
    heads = [f"at FastNAS's {b.split('@')[1]}" if "@" in b else b for b in results.budgets]
    yield "| who chose the widths | " + " | ".join(heads) + " | hypervolume | choosing, s | cores | scored |"
    yield "|---|" + "---:|" * (len(heads) + 4)
    columns = {
        budget: {name: results.accuracy(name, budget) for name in results.contenders} for budget in results.budgets
    }
    volumes = {name: results.volume(name) for name in results.contenders}
    for name in results.contenders:
        cells = [cell(columns[budget], name, 2) for budget in results.budgets]
        runs = [run for run in results.rows if run.contender == name]
        seconds = max(run.search_seconds for run in runs)
        cost = f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"
        facts = [cell(volumes, name, 4), cost, str(runs[0].search_cores), str(max(run.evaluations for run in runs))]
        yield f"| {title(name)} | " + " | ".join([*cells, *facts]) + " |"
        repeats = results.repeats(name)
        if len(repeats) > 1 and name == repeats[-1]:
            means = [results.over_searches(repeats, budget) for budget in results.budgets]
            over = " | ".join("-" if mean is None else mean.text(2) for mean in means)
            yield f"| {title(repeats[0])}, over {len(repeats)} searches | {over} | | | | |"


def cell(column: dict[str, Interval | None], name: str, digits: int) -> str:
    """One entry, bold where it is the column's best."""
    value = column[name]
    if value is None:
        return "-"
    best = max(other.mean for other in column.values() if other is not None)
    return f"**{value.text(digits)}**" if value.mean == best else value.text(digits)


def sizes(results: Results) -> Iterable[str]:
    """What the networks cost."""
    yield "| | " + " | ".join(results.budgets) + " |"
    yield "|---|" + "---:|" * len(results.budgets)
    for name in results.contenders:
        runs = [results.of(name, budget) for budget in results.budgets]
        cells = [f"{r[0].macs / r[0].dense_macs:.3f} / {r[0].params / 1e3:.1f}" if r else "-" for r in runs]
        yield f"| {title(name)} | " + " | ".join(cells) + " |"
