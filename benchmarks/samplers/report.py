"""The table and the plot, from rows alone."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib

matplotlib.use("Agg")
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot

from benchmarks.samplers.curves import ALONE, Step

YARDSTICK = "random"
COLOURS = {"evolution": "#0b6e4f", "tpe": "#c1440e", "gp": "#6a4c93", "nsga2": "#1f77b4", "random": "#5f6b7a"}

Curves = npt.NDArray[np.float64]


def curves(steps: Sequence[Step]) -> dict[str, Curves]:
    """Hypervolume by sampler: (seeds, evaluations). A search that ended early keeps its last value."""
    length = max(step.evaluation for step in steps)
    found: dict[str, Curves] = {}
    for name in dict.fromkeys(step.sampler for step in steps):
        seeds = sorted({step.seed for step in steps if step.sampler == name})
        found[name] = np.stack([_curve([s for s in steps if (s.sampler, s.seed) == (name, k)], length) for k in seeds])
    return found


def _curve(steps: Sequence[Step], length: int) -> Curves:
    values = np.zeros(length)
    for step in sorted(steps, key=lambda step: step.evaluation):
        values[step.evaluation - 1 :] = step.hypervolume
    return values


def reached(values: Curves, goal: float) -> int | None:
    """Evaluations, counted from 1, after which one search's hypervolume is at least `goal`; None if it never is."""
    places = np.flatnonzero(values >= goal)
    return int(places[0]) + 1 if len(places) else None


def table(steps: Sequence[Step]) -> str:
    """Final hypervolume, and how soon a sampler was where random search ends, with the same anchors.

    Each search is compared with the mean of the random searches' last values, and the mean curve likewise.
    """
    found = curves(steps)
    ordered = sorted(found, key=lambda name: -found[name][:, -1].mean())
    length = next(iter(found.values())).shape[1]
    anchors = max((s.evaluation for s in steps if s.role == "anchor"), default=0)
    goal = float(found[YARDSTICK][:, -1].mean()) if YARDSTICK in found else None
    lines = [
        f"{length} evaluations each, of which the first {anchors} are the same anchors for all but `{ALONE}`. "
        "Hypervolume: share of the box accuracy x MACs, mean over the seeds.",
        "",
        f"| sampler | seeds | after {length // 3} | after {2 * length // 3} | after {length} | smallest to largest | "
        f"`{YARDSTICK}`'s last mean{'' if goal is None else f' ({goal:.4f})'} reached after: mean curve | each seed |",
        "|---|--:|--:|--:|--:|---|--:|---|",
    ]
    for name in ordered:
        values = found[name]
        last = values[:, -1]
        middle = " | ".join(f"{values[:, at - 1].mean():.4f}" for at in (length // 3, 2 * length // 3, length))
        ends = f"{last.min():.4f} to {last.max():.4f}"
        lines.append(f"| {name} | {len(values)} | {middle} | {ends} | {_when(values, goal)} |")
    return "\n".join(lines) + "\n"


def _when(values: Curves, goal: float | None) -> str:
    if goal is None:
        return "- | -"
    each = [reached(one, goal) for one in values]
    mean = reached(values.mean(axis=0), goal)
    return f"{mean or 'never'} | {', '.join(str(place or 'never') for place in each)}"


def plot(steps: Sequence[Step], path: Path) -> None:
    """Mean hypervolume over evaluations for each sampler; the band spans its seeds."""
    found = curves(steps)
    figure, axes = pyplot.subplots(figsize=(7.2, 4.4), dpi=160)
    for name, values in sorted(found.items(), key=lambda item: -item[1][:, -1].mean()):
        colour = COLOURS.get(name.removesuffix("-alone"))
        places = np.arange(1, values.shape[1] + 1)
        style = ":" if name == ALONE else "-"
        axes.plot(places, values.mean(axis=0), style, color=colour, lw=1.8, label=f"{name} ({len(values)})")
        axes.fill_between(places, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.12, lw=0)
    if YARDSTICK in found:
        axes.axhline(found[YARDSTICK][:, -1].mean(), color=COLOURS[YARDSTICK], lw=0.8, ls="--")
    axes.axvline(next(iter(found.values())).shape[1] / 3, color="black", lw=0.6, ls="--")
    # What happens in the first tenth would hide the rest.
    shown = [values[:, values.shape[1] // 10 :] for values in found.values()]
    axes.set_ylim(float(median(part.min() for part in shown)), float(max(part.max() for part in shown)))
    axes.set_xlabel("evaluations; a third of them is marked")
    axes.set_ylabel("hypervolume: mean and range of the seeds")
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right", title="sampler (seeds)", title_fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
