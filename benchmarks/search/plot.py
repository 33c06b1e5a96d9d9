"""One panel per budget, one line per contender: the mean, its interval and every seed."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from benchmarks.search.report import Results, title

OWN = ("searched", "targeted")
OURS, RANDOM, PEERS, PLAIN = "#0b6e4f", "#5a9e85", "#c1440e", "#5f6b7a"


def plot(results: Results, path: Path) -> None:
    """Draw it; contenders are sorted by their mean over the budgets, best on top."""
    names = sorted(results.contenders, key=lambda name: mean_rank(results, name))
    budgets = results.budgets
    figure, panels = pyplot.subplots(
        1, len(budgets), figsize=(3.2 + 3.1 * len(budgets), 1.5 + 0.3 * len(names)), dpi=160, sharey=True, squeeze=False
    )
    for axes, budget in zip(panels[0], budgets, strict=True):
        draw(axes, results, budget, names)
    panels[0][0].set_yticks(range(len(names)), [title(name) for name in names])
    panels[0][0].set_ylim(-0.7, len(names) - 0.3)
    for label, name in zip(panels[0][0].get_yticklabels(), names, strict=True):
        label.set_color(colour(name))
        label.set_fontweight("bold" if name.startswith(OWN) else "normal")
    figure.suptitle(f"{results.network}: who chose the widths, with the same fine-tuning for all", x=0.01, ha="left")
    figure.supxlabel("test accuracy (%): mean, 95 % interval over the seeds, and every seed", fontsize=9)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def draw(axes: Axes, results: Results, budget: str, names: list[str]) -> None:
    """One budget."""
    for place, name in enumerate(names):
        found = results.accuracy(name, budget)
        if found is None:
            axes.annotate(
                "no run", (0.02, place), xycoords=("axes fraction", "data"), fontsize=7, color=PLAIN, va="center"
            )
            continue
        ours = name.startswith(OWN)
        if ours:
            axes.axhspan(place - 0.5, place + 0.5, color=OURS, alpha=0.08, lw=0)
        runs = results.of(name, budget)
        axes.scatter(
            [100 * run.accuracy for run in runs], [place - 0.24] * len(runs), s=9, color=colour(name), alpha=0.5, lw=0
        )
        axes.errorbar(
            found.mean,
            place,
            xerr=found.half,
            fmt="D" if ours else "o",
            ms=5.5 if ours else 4,
            color=colour(name),
            elinewidth=1.4,
            capsize=2,
        )
    share = budget.split("@")[-1]
    axes.set_title(
        f"FastNAS's MACs at {share}" if "@" in budget else f"{100 * float(share):g} % of the MACs", fontsize=9
    )
    axes.grid(axis="x", alpha=0.25, lw=0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def mean_rank(results: Results, name: str) -> tuple[float, float]:
    """For sorting: mean accuracy over the budgets, those without a network at one of them below all others."""
    found = [results.accuracy(name, budget) for budget in results.budgets]
    means = [value.mean for value in found if value is not None]
    return (len(means) / len(found), sum(means) / max(1, len(means)))


def colour(name: str) -> str:
    """Ours green, other tools red, the literature's rules grey."""
    if name.startswith(OWN):
        return OURS
    if name.startswith("random"):
        return RANDOM
    return PEERS if name == "fastnas" or name.startswith("tp-") else PLAIN
