"""Every allocator, method and step alone: is the budget met, what does it take, how good is the network.

    python -m benchmarks.methods CONFIG --out DIR [--target-flops 0.5] [--steps 10] [--images 1024] [--set KEY=VALUE]

Written to DIR: table.md, table.csv.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.methods.alone import Row, candidates, gather_seconds, measure
from evaluators.recipe import Recipe
from search.config_file import load_config
from search.prepare import Prepared, prepare

LR = 0.01


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--target-flops", default="0.5")
    parser.add_argument("--steps", type=int, default=10, help="of the short fine-tuning; 0 leaves it out")
    parser.add_argument("--images", type=int, default=1024, help="on which batch norms are recalibrated")
    parser.add_argument("--kinds", action="store_true", help="time each kind of evidence alone too")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    torch.set_num_interop_threads(1)
    plain = ["space.methods=[l2]", "space.steps=[]", f"target_flops={options.target_flops}"]
    prepared = prepare(load_config(options.config, overrides=[*options.settings, *plain]), say=print)
    evidence, seconds = gather_seconds(prepared, each=options.kinds)
    recipe = Recipe(steps=options.steps, lr=LR) if options.steps else None
    rows: list[Row] = []
    for plugin in candidates(prepared.budget.high_macs):
        rows.append(measure(prepared, evidence, plugin, num_images=options.images, recipe=recipe))
        print(rows[-1], flush=True)
        write(options.out, rows, page(prepared, rows, seconds, steps=options.steps))


def write(out: Path, rows: Sequence[Row], text: str) -> None:
    """Both files, as far as there are rows."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    (out / "table.md").write_text(text, encoding="utf-8")


def page(prepared: Prepared, rows: Sequence[Row], seconds: dict[str, tuple[float, float]], *, steps: int) -> str:
    """The table and what stands around it."""
    macs, budget = prepared.dense.macs, prepared.budget.high_macs
    missed = [row.name for row in rows if row.of_target > 1 or not row.tight]
    slowest = max(rows, key=lambda row: row.fresh_ms)
    gathered = "; ".join(f"{name} {wall:.1f} ({processor:.1f})" for name, (wall, processor) in seconds.items())
    trained = f" {steps} steps % |" if steps else ""
    lines = [
        f"# {prepared.config.model.name}: every plugin alone at {budget / macs:.3f} of {macs:,} MACs",
        "",
        f"Dense accuracy on the search split ({len(prepared.task.search)} images): {prepared.dense.accuracy:.2%}. "
        f"{torch.get_num_threads()} thread(s). Allocators are measured with l2, methods with uniform, steps with both.",
        "",
        f"Seconds to gather evidence on 512 images, wall clock (processor): {gathered}.",
        "",
        f"Budgets missed, or with room for a channel: {', '.join(missed) or 'none'}. "
        f"Slowest plan with new hyper-parameters: `{slowest.name}`, {slowest.fresh_ms:.0f} ms.",
        "",
        "first: evidence nobody has looked at; fresh: new hyper-parameters, median of five; warm: planned before. "
        "Processor time of one thread.",
        "",
        "| kind | name | MACs / budget | plan first, ms | fresh | warm | cut, ms | recalibrated % |" + trained,
        "|---|---|--:|--:|--:|--:|--:|--:|" + ("--:|" if steps else ""),
    ]
    for row in rows:
        ms = " | ".join(f"{value:.0f}" for value in (row.first_ms, row.fresh_ms, row.warm_ms, row.cut_ms))
        lines.append(
            f"| {row.kind} | `{row.name}` | {row.of_target:.4f} | {ms} "
            f"| {100 * row.recalibrated:.2f} |" + (f" {100 * row.finetuned:.2f} |" if steps else "")
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
