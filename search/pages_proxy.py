"""The proxy report as a part of the front's page."""

import html
from collections.abc import Sequence
from typing import Any

from search.proxy_report import Curve, ProxyReport
from search.rank_correlation import estimate_text

_COLORS = {"search": "#0b6e99", "random": "#d1495b"}
_INK, _GRID = "#22303c", "#e8edf1"


def proxy_section(report: ProxyReport) -> str:
    """Tables and curves as HTML; the page it goes into must have loaded plotly."""
    ranks = [
        (
            item.cheap,
            item.dear,
            str(item.overall.num),
            estimate_text(item.overall.spearman),
            estimate_text(item.overall.kendall),
            estimate_text(item.at_equal_macs.spearman),
            estimate_text(item.at_equal_macs.kendall),
        )
        for item in report.comparisons
    ]
    heads = ("this", "against accuracy on", "candidates", "Spearman", "Kendall", "Spearman at equal MACs", "Kendall")
    stages = [(stage.name, f"{stage.seconds:.1f}", f"{100 * stage.share:.1f} %") for stage in report.stages]
    note = (
        "Rank correlations with 95 % intervals. The budget alone explains most of the first two; at equal MACs, after "
        "a smooth fit over their logarithm, is what a search needs. Only promoted candidates are measured on two "
        "rungs, which restricts their range and lowers all correlations."
    )
    return (
        f'<section style="margin: 1em 70px; font: 14px Inter, Helvetica, Arial, sans-serif; color: {_INK}">'
        f"<h2>Does the cheap rank like the dear?</h2>{_table(heads, ranks)}<p>{note}</p>"
        f"<h2>Where the evaluations' time went</h2>{_table(('part', 'seconds', 'share'), stages)}"
        f"<h2>Hypervolume over candidates</h2>{_figures(report)}</section>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _figures(report: ProxyReport) -> str:
    rungs = {curve.fidelity: curve.rung for curve in report.curves if curve.values}
    if not rungs:
        return "<p>Nothing was measured.</p>"
    return "".join(
        _figure([curve for curve in report.curves if curve.fidelity == fidelity and curve.values], rung)
        for fidelity, rung in rungs.items()
    )


def _figure(curves: Sequence[Curve], rung: str) -> str:
    import plotly.graph_objects as go

    figure: Any = go.Figure()
    for curve in curves:
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(curve.values) + 1)),
                y=list(curve.values),
                name="random search" if curve.who == "random" else "this search",
                mode="lines",
                line={"color": _COLORS[curve.who], "width": 2, "shape": "hv"},
            )
        )
    figure.update_layout(
        title={"text": f"measured by {rung}", "x": 0.02, "font": {"size": 15}},
        xaxis={"title": "candidates", "gridcolor": _GRID, "rangemode": "tozero"},
        yaxis={"title": "hypervolume of the front", "gridcolor": _GRID},
        font={"family": "Inter, Helvetica, Arial, sans-serif", "color": _INK, "size": 14},
        showlegend=True,
        plot_bgcolor="white",
        height=380,
        margin={"l": 70, "r": 30, "t": 50, "b": 50},
    )
    return str(figure.to_html(include_plotlyjs=False, full_html=False, config={"displaylogo": False}))
