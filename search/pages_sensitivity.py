"""The sensitivity of channel groups as a picture."""

from pathlib import Path
from typing import Any

from search.sensitivity import SensitivityReport

_LIGHT, _DARK, _INK, _MUTED, _GRID = "#9fd0e6", "#08415c", "#22303c", "#8796a3", "#e8edf1"
_WIDTH, _MARGINS, _ROW, _TIGHT_ROW = 10.0, 1.6, 0.25, 0.16
"""Inches."""
_FEWEST, _MANY = 10, 60
"""Groups that the smallest picture has room for, and those above which rows get tighter."""


def save_sensitivity(path: Path, report: SensitivityReport) -> None:
    """A PNG with a row for each group, from input to output: what it loses on the left, what it saves on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(report.groups)
    row = _ROW if count <= _MANY else _TIGHT_ROW
    figure = Figure(figsize=(_WIDTH, _MARGINS + row * max(count, _FEWEST)), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    lost, saved = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    colors = _shades(len(report.ratios))
    _draw_changes(lost, report, colors)
    _draw_savings(saved, report, colors)
    for axes in (lost, saved):
        axes.grid(axis="x", color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(colors=_INK, labelsize=9)
    lost.set_yticks(range(count), [group.group for group in report.groups], fontsize=8.5 if row == _ROW else 6.5)
    lost.set_ylim(count - 0.4, -0.6)
    lost.set_ylabel("channel group, from input to output", color=_INK, fontsize=10)
    title = f"{report.model}: what each channel group costs when it alone is cut"
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, color=_INK)
    handles, labels = lost.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    figure.savefig(path)


def _draw_changes(axes: Any, report: SensitivityReport, colors: list[Any]) -> None:
    """A dot for each ratio on a small line for each group; the dense network is the upright line."""
    axes.axvline(0, color=_INK, linewidth=1, label=f"dense network, {100 * report.dense_accuracy:.2f} %")
    for place, group in enumerate(report.groups):
        changes = [0.0, *(100 * cut.accuracy_change for cut in group.cuts)]
        axes.plot([min(changes), max(changes)], [place, place], color=_MUTED, linewidth=1, zorder=1.5)
    for index, ratio in enumerate(report.ratios):
        changes = [100 * group.cuts[index].accuracy_change for group in report.groups]
        label = f"{100 * ratio:g} % of it cut"
        look = {"s": 36, "color": colors[index], "edgecolors": "white", "linewidths": 0.6, "zorder": 3}
        axes.scatter(changes, range(len(changes)), label=label, **look)
    axes.set_xlabel("change of accuracy on the search split, percentage points", color=_INK, fontsize=10)


def _draw_savings(axes: Any, report: SensitivityReport, colors: list[Any]) -> None:
    """Bars over each other, the largest ratio at the back."""
    order = sorted(range(len(report.ratios)), key=lambda index: -report.ratios[index])
    for index in order:
        shares = [100 * group.cuts[index].macs_saved for group in report.groups]
        axes.barh(range(len(shares)), shares, height=0.62, color=colors[index], linewidth=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("MACs saved, % of the dense network", color=_INK, fontsize=10)


def _shades(count: int) -> list[Any]:
    """From light to dark, one for each ratio."""
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("ratios", [_LIGHT, _DARK])
    return [scale(index / max(count - 1, 1)) for index in range(count)]
