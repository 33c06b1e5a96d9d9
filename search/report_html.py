"""The export report as one HTML page that needs nothing else: no script, no network, no font."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from search.report import ExportReport, GroupWidth, LayerChange, comparison
from search.targets import format_macs

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667080; --line: #dfe3e8; --page: #ffffff; --card: #f6f7f9;
  --dense: #d4d9e0; --kept: #2563c9; --good: #18794e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #9aa4b2; --line: #333a44; --page: #15181c;
  --card: #1d2127; --dense: #3a424d; --kept: #6ea8fe; --good: #5fd39b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; } h2 { margin: 2.6rem 0 .8rem; font-size: 1.15rem; }
p.soft, figcaption, .soft { color: var(--soft); } figure { margin: 0; }
figcaption { font-size: .875rem; margin-bottom: .6rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; margin-top: 1.6rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem; }
.card b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .875rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .925rem; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.text, th.text { text-align: left; } .ok { color: var(--good); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .soft { fill: var(--soft); } svg .dense { fill: var(--dense); } svg .kept { fill: var(--kept); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; overflow-x: auto;
  font: 13px/1.5 ui-monospace, monospace; }
details { margin-top: .8rem; } summary { cursor: pointer; color: var(--soft); }
"""

_LOADING = {
    "safetensors": 'from evaluators.artifact import load_slim\nmodel = load_slim("{folder}")  # an nn.Module',
    "pt2": 'import torch\nmodel = torch.export.load("{folder}/model.pt2").module()  # needs only torch',
    "onnx": (
        "import onnxruntime\n"
        'session = onnxruntime.InferenceSession("{folder}/model.onnx")\n'
        'logits = session.run(None, {{"images": images}})[0]  # float32 (batch, channels, height, width)'
    ),
}


def to_html(report: ExportReport, *, folder: str = "export") -> str:
    """The page.

    Args:
        report: what it shows.
        folder: name of the export's folder, for the examples of loading.
    """
    title = f"{report.model} at {report.macs_ratio:.1%} of its MACs"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(_subtitle(report))}</p>',
        _cards(report),
        "<h2>Before and after</h2>",
        _table(("", "dense", "pruned", ""), [(r.name, r.dense, r.pruned, r.change) for r in comparison(report)]),
        f'<p class="soft">{escape(_how_measured(report))}</p>',
        "<h2>Channels kept</h2>",
        _width_chart(report.groups),
        _layer_details(report.layers),
        "<h2>Files</h2>",
        _files(report),
        f"<pre>{escape(_loading(report, folder))}</pre>",
        "<h2>How it was made</h2>",
        _made_of(report),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    page = f"<head>{head}<style>{_STYLE}</style></head>\n<body>{''.join(parts)}</body>"
    return f'<!doctype html>\n<html lang="en">{page}</html>\n'


def _subtitle(report: ExportReport) -> str:
    candidate = report.candidate
    step = f", step {candidate['step']['name']}" if candidate["step"] else ""
    return (
        f"{report.data}; allocator {candidate['allocator']['name']}, method {candidate['method']['name']}{step}; "
        f"budget {format_macs(candidate['budget_macs'])} MACs; {report.created}"
    )


def _cards(report: ExportReport) -> str:
    dense, pruned = report.dense, report.pruned
    cards = [
        ("test accuracy", f"{pruned.accuracy:.2%}", f"dense {dense.accuracy:.2%}"),
        ("MACs", format_macs(pruned.macs), f"{report.macs_ratio:.1%} of {format_macs(dense.macs)}"),
        (
            "parameters",
            format_macs(pruned.params),
            f"{pruned.params / dense.params:.1%} of {format_macs(dense.params)}",
        ),
        ("weights on disk", _size(pruned.size_bytes), f"dense {_size(dense.size_bytes)}"),
    ]
    if dense.latency:
        before, after = dense.latency[0], pruned.latency[0]
        name = f"latency, batch {after.batch_size}"
        cards.append((name, f"{after.milliseconds:.2f} ms", f"dense {before.milliseconds:.2f} ms"))
    inner = "".join(
        f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(note)}</span></div>'
        for name, value, note in cards
    )
    return f'<div class="cards">{inner}</div>'


def _how_measured(report: ExportReport) -> str:
    where = report.environment.get("device", "")
    threads = report.environment.get("threads")
    plural = "" if threads == 1 else "s"
    return (
        f"Accuracy on {report.num_test:,} test images, read once, for this report. One multiply-add is one MAC. "
        f"Latency: median of alternating passes of both networks in PyTorch on {where}, {threads} thread{plural}."
    )


def _width_chart(groups: tuple[GroupWidth, ...]) -> str:
    """Horizontal bars, one per group: the dense width behind, what is kept in front."""
    row, left, width, right = 22, 230, 560, 130
    largest = max((group.dense for group in groups), default=1)
    bars = []
    for index, group in enumerate(groups):
        top = index * row
        full, kept = (width * channels / largest for channels in (group.dense, group.kept))
        shown = group.name if len(group.name) <= 34 else "…" + group.name[-33:]
        bars.append(
            f"<g><title>{escape(group.name)}: {group.kept} of {group.dense} channels</title>"
            f'<text x="{left - 10}" y="{top + 15}" text-anchor="end">{escape(shown)}</text>'
            f'<rect class="dense" x="{left}" y="{top + 4}" width="{full:.1f}" height="{row - 8}" rx="2"/>'
            f'<rect class="kept" x="{left}" y="{top + 4}" width="{kept:.1f}" height="{row - 8}" rx="2"/>'
            f'<text class="soft" x="{left + full + 8:.1f}" y="{top + 15}">{group.kept} of {group.dense}</text></g>'
        )
    size = f"0 0 {left + width + right} {max(len(groups) * row, 1)}"
    caption = (
        "Channels that are cut together, group by group in the order of the forward pass: blue stays, grey is gone."
    )
    return (
        f"<figure><figcaption>{caption}</figcaption>"
        f'<svg viewBox="{size}" role="img" aria-label="Channels kept in each group">{"".join(bars)}</svg></figure>'
    )


def _layer_details(layers: tuple[LayerChange, ...]) -> str:
    head = ("layer", "kind", "MACs before", "after", "", "parameters before", "after", "")
    rows = [
        (
            layer.name,
            layer.kind,
            f"{layer.dense_macs:,}",
            f"{layer.macs:,}",
            _share(layer.macs, layer.dense_macs),
            f"{layer.dense_params:,}",
            f"{layer.params:,}",
            _share(layer.params, layer.dense_params),
        )
        for layer in layers
    ]
    return f"<details><summary>MACs and parameters of each layer</summary>{_table(head, rows)}</details>"


def _files(report: ExportReport) -> str:
    head = ("file", "size", "largest difference of a logit", "MACs counted again", "SHA-256")
    rows = [
        (
            ", ".join(check.files),
            _size(check.size_bytes),
            f"{check.difference:.1e} of the largest" if check.difference else "none",
            f"{check.macs:,}",
            check.sha256[:16],
        )
        for check in report.files
    ]
    note = "Each file was loaded again and gave the same logits and the same MACs as the network that was measured."
    return f'{_table(head, rows)}<p class="ok">{note}</p>'


def _loading(report: ExportReport, folder: str) -> str:
    examples = [_LOADING[check.format].format(folder=folder) for check in report.files if check.format in _LOADING]
    needs = report.preprocessing
    images = f"# images: float32, (batch, {', '.join(map(str, needs['shape']))}), x in [0, 1] as (x - mean) / std\n"
    return f"{images}# mean = {needs['mean']}, std = {needs['std']}\n\n" + "\n\n".join(examples)


def _made_of(report: ExportReport) -> str:
    sections: Iterable[tuple[str, Mapping[str, Any]]] = (
        ("Candidate", report.candidate),
        *((("Before the cut", report.before),) if report.before else ()),
        ("Fine-tuning", report.recipe),
        ("Environment", report.environment),
        ("Seconds", report.seconds),
    )
    return f'<p class="soft">Seed {report.seed}.</p>' + "".join(
        f"<details><summary>{name}</summary><pre>{escape(json.dumps(data, indent=2))}</pre></details>"
        for name, data in sections
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _size(num_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.2f} {unit}"
    return f"{num_bytes} bytes"
