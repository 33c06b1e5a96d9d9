"""The front for people: an interactive page that works offline, a picture, a table."""

import csv
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.combinations import COLUMNS, cells, combinations
from search.front import Dense, Front, Measured
from search.pages_proxy import proxy_section
from search.proxy_report import ProxyReport
from search.targets import format_macs

_FRONT, _OTHERS, _DENSE, _INK, _GRID = "#0b6e99", "#b8c4ce", "#d1495b", "#22303c", "#e8edf1"


def write_pages(
    folder: Path,
    *,
    title: str,
    front: Front,
    measured: Sequence[Measured],
    dense: Dense,
    report: ProxyReport | None = None,
) -> tuple[Path, ...]:
    """Write front.html, front.png, front.csv and front.json into `folder`, with a report proxies.json too.

    Returns:
        The files.
    """
    others = _others(front, measured)
    page, picture, table, data = (folder / f"front.{kind}" for kind in ("html", "png", "csv", "json"))
    text = front_page(front, others, title=title, dense=dense)
    sections = combinations_section(front, measured) + ("" if report is None else proxy_section(report))
    page.write_text(text.replace("</body>", sections + "</body>"), encoding="utf-8")
    save_picture(picture, front, others, title=title, dense=dense)
    rows = front.rows()
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["trial"])
        writer.writeheader()
        writer.writerows(rows)
    data.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if report is None:
        return page, picture, table, data
    proxies = folder / "proxies.json"
    proxies.write_text(json.dumps(report.to_dict(), indent=1), encoding="utf-8")
    return page, picture, table, data, proxies


def front_page(front: Front, others: Sequence[Measured], *, title: str, dense: Dense) -> str:
    """A page with everything in it: no request leaves it, so it opens without a network."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_trace(_trace(go, others, name="other candidates", mode="markers", color=_OTHERS, size=7))
    figure.add_trace(_trace(go, front.members, name="Pareto front", mode="lines+markers", color=_FRONT, size=11))
    figure.add_trace(
        go.Scatter(
            x=[dense.macs / 1e6],
            y=[100 * dense.accuracy],
            name="dense network",
            mode="markers",
            marker={"color": _DENSE, "size": 14, "symbol": "star"},
            hovertemplate=f"dense network<br>%{{y:.2f}} %<br>{format_macs(dense.macs)} MACs<extra></extra>",
        )
    )
    figure.update_layout(
        title={
            "text": f"{title}: accuracy against compute",
            "x": 0.02,
            "y": 0.98,
            "yanchor": "top",
            "font": {"size": 20},
        },
        xaxis={"title": "million MACs per image", "gridcolor": _GRID, "rangemode": "tozero", "zeroline": False},
        yaxis={"title": "accuracy on the search split, %", "gridcolor": _GRID, "zeroline": False},
        font={"family": "Inter, Helvetica, Arial, sans-serif", "color": _INK, "size": 14},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0},
        plot_bgcolor="white",
        hoverlabel={"align": "left", "bgcolor": "white"},
        margin={"l": 70, "r": 30, "t": 90, "b": 60},
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False, "responsive": True}))


def combinations_section(front: Front, measured: Sequence[Measured]) -> str:
    """Which combinations of plugins the front is made of, as an HTML table."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in cells(combinations(front, measured))
    )
    return (
        f'<section style="margin: 1em 70px; font: 14px Inter, Helvetica, Arial, sans-serif; color: {_INK}">'
        f"<style>section table {{border-collapse: collapse}} section th, section td {{text-align: left; "
        f"padding: 4px 16px 4px 0; border-bottom: 1px solid {_GRID}}}</style>"
        f"<h2>What the front is made of</h2><table><tr>{head}</tr>{rows}</table></section>"
    )


def save_picture(path: Path, front: Front, others: Sequence[Measured], *, title: str, dense: Dense) -> None:
    """The same as a PNG of 1600 x 1000 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(*_xy(others), s=18, color=_OTHERS, label="other candidates", linewidths=0)
    axes.plot(*_xy(front.members), "-o", color=_FRONT, markersize=6, linewidth=1.6, label="Pareto front")
    axes.scatter([dense.macs / 1e6], [100 * dense.accuracy], s=130, marker="*", color=_DENSE, label="dense network")
    axes.set_xlabel("million MACs per image")
    axes.set_ylabel("accuracy on the search split, %")
    axes.set_title(f"{title}: accuracy against compute", loc="left", fontsize=13, color=_INK)
    axes.set_xlim(left=0)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path)


def _others(front: Front, measured: Sequence[Measured]) -> list[Measured]:
    """What was measured at the front's fidelity and is not on it."""
    members = {item.number for item in front.members}
    return [
        item
        for item in measured
        if item.number not in members
        and item.evaluation.status == "complete"
        and item.evaluation.fidelity == front.fidelity
    ]


def _xy(measured: Sequence[Measured]) -> tuple[list[float], list[float]]:
    return [item.macs / 1e6 for item in measured], [100 * item.accuracy for item in measured]


def _trace(go: Any, measured: Sequence[Measured], *, name: str, mode: str, color: str, size: int) -> Any:
    x, y = _xy(measured)
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode=mode,
        marker={"color": color, "size": size},
        line={"color": color, "width": 2},
        customdata=[_hover(item) for item in measured],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _hover(item: Measured) -> str:
    candidate, evaluation = item.candidate, item.evaluation
    lines = [
        f"<b>trial {item.number}</b>",
        f"{100 * item.accuracy:.2f} %, {format_macs(item.macs)} MACs, {evaluation.params:,} parameters",
        f"allocator {_describe(candidate.allocator)}",
        f"method {_describe(candidate.method)}",
    ]
    if candidate.step is not None:
        lines.append(f"step {_describe(candidate.step)}")
    strongest = sorted(candidate.offsets, key=lambda pair: -abs(pair[1]))[:4]
    shown = ", ".join(f"{name} {offset:+.2f}" for name, offset in strongest if offset)
    return "<br>".join([*lines, f"offsets {shown}"] if shown else lines)


def _describe(choice: Any) -> str:
    inside = ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in choice.params
    )
    return f"{choice.name} ({inside})" if inside else str(choice.name)
