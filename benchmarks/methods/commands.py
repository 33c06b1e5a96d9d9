"""The command line with every plugin alone: does it end well, is the budget met, what does it take.

    python -m benchmarks.methods.commands CONFIG --out DIR [--target-flops 0.5] [--steps 2] [--per-class 30]
        [--only KIND[:NAME]] [--set KEY=VALUE]

Each is a process of its own, as a user starts it: an allocator with l2, a method with uniform, a step with both, a
regime with its own reader; what masks single weights goes through `paretoprune mask`. Written to DIR: commands.md,
commands.csv; a call goes on where an earlier one stopped.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables import append_row, read_rows
from evaluators.registries import REGIMES
from pruners import ALLOCATORS, METHODS, STEPS
from search.config_file import load_config

SPARSITY = 0.5
"""Share of the weights that masks are asked to remove."""

PATHS = ("weights=", "data.path=")
"""Settings that name a place on one machine, which no table needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is run: a subcommand and its arguments, for the plugin `name` of a kind."""

    kind: str
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How a command ended.

    Attributes:
        kind: allocator, method, step, regime, mask or rounds.
        name: as registered.
        exit_code: of the process; 0 is success.
        amount: MACs of the written network; of a mask the weights that are left. 0: nothing was written.
        allowed: as many at most; 0: the method takes no budget.
        dense: of the dense network.
        seconds: from start to end.
        processor_seconds: of all its threads.
        error: the last line that a failed command printed.
    """

    kind: str
    name: str
    exit_code: int
    amount: int
    allowed: int
    dense: int
    seconds: float
    processor_seconds: float
    error: str

    @property
    def met(self) -> bool:
        """Whether it ended well and within what was allowed."""
        return self.exit_code == 0 and (self.allowed == 0 or self.amount <= self.allowed)


def commands(target_flops: str) -> Iterator[Command]:
    """Every plugin alone."""
    prune = ("prune", "--target-flops", target_flops)
    for entry in ALLOCATORS:
        yield Command(
            kind="allocator", name=entry.name, arguments=(*prune, "--allocator", entry.name, "--method", "l2")
        )
    for entry in METHODS:
        yield Command(kind="method", name=entry.name, arguments=(*prune, "--method", entry.name))
    for entry in STEPS:
        yield Command(kind="step", name=entry.name, arguments=(*prune, "--method", "l2", "--step", entry.name))
    for regime in REGIMES:
        if regime.target.granularity == "channels":
            yield Command(kind="regime", name=regime.name, arguments=(*prune, "--regime", regime.name))
        else:
            masked = f"{{name: {regime.name}, sparsity: {SPARSITY}}}"
            yield Command(kind="mask", name=regime.name, arguments=("mask", "--method", masked))
    yield Command(kind="mask", name="sap", arguments=("mask", "--method", "{name: sap, rounds: 2}"))
    yield Command(kind="rounds", name="two", arguments=(*prune, "--method", "l2", "--rounds", "2"))


def run(command: Command, config: Path, settings: Sequence[str], formats: Sequence[str]) -> Row:
    """Start the command, wait for its end and read its report."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        kinds = formats if command.arguments[0] == "prune" else ()
        options = [word for name in kinds for word in ("--format", name)]
        options += [word for setting in settings for word in ("--set", setting)]
        subcommand, *rest = command.arguments
        words = [subcommand, str(config), *rest, *options, "--out", str(out)]
        before, started = _processor_seconds(), time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "search.cli", *words], capture_output=True, text=True, check=False)
        seconds, used = time.perf_counter() - started, _processor_seconds() - before
        found = (0, 0, 0) if done.returncode else _amounts(json.loads((out / "report.json").read_text()))
    last = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""
    return Row(
        kind=command.kind,
        name=command.name,
        exit_code=done.returncode,
        amount=found[0],
        allowed=found[1],
        dense=found[2],
        seconds=round(seconds, 1),
        processor_seconds=round(used, 1),
        error=last,
    )


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _amounts(report: dict[str, Any]) -> tuple[int, int, int]:
    """What is left, what was allowed and what there was: MACs, or weights of a mask."""
    if report.get("granularity") == "weights":
        sparsity = report["method"].get("sparsity")
        allowed = 0 if sparsity is None else round((1 - sparsity) * report["num_weights"])
        return report["remaining_weights"], allowed, report["num_weights"]
    return report["pruned"]["macs"], report["candidate"]["budget_macs"], report["dense"]["macs"]


def fewer_images(source: Path, folder: Path, *, per_class: int) -> None:
    """Links to the first images of every class of every part."""
    for classes in (path for part in source.iterdir() if part.is_dir() for path in part.iterdir()):
        there = folder / classes.parent.name / classes.name
        there.mkdir(parents=True)
        for image in sorted(classes.iterdir())[:per_class]:
            (there / image.name).symlink_to(image.resolve())


def page(rows: Sequence[Row], *, model: str, settings: Sequence[str], per_class: int) -> str:
    """The table and what stands above it."""
    failed = [f"{row.kind} {row.name}" for row in rows if not row.met]
    slowest = max(rows, key=lambda row: row.processor_seconds)
    lines = [
        f"# {model}: the command line with every plugin alone",
        "",
        f"{len(rows)} commands, {sum(row.met for row in rows)} of them within their budget; "
        f"failed or over it: {', '.join(failed) or 'none'}. "
        f"Slowest: {slowest.kind} `{slowest.name}`, {slowest.processor_seconds:.1f} processor seconds.",
        "",
        f"`paretoprune prune` (`mask` for masks) with {', '.join(f'`--set {s}`' for s in settings) or 'nothing set'}; "
        f"{per_class} images per class of each part. Seconds cover everything from the start of Python to the checked "
        "files. Of a mask the weights count; sap takes no budget.",
        "",
        "| kind | name | exit code | MACs (mask: weights) | of the dense | budget met | seconds | of the processor |",
        "|---|---|--:|--:|--:|---|--:|--:|",
    ]
    for row in rows:
        share = f"{100 * row.amount / row.dense:.2f} %" if row.dense else ""
        met = ("none asked" if row.allowed == 0 else "yes") if row.met else row.error or "no"
        lines.append(
            f"| {row.kind} | `{row.name}` | {row.exit_code} | {row.amount:,} | {share} | {met} "
            f"| {row.seconds:.1f} | {row.processor_seconds:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--target-flops", default="0.5")
    parser.add_argument("--steps", type=int, default=2, help="of every training")
    parser.add_argument("--per-class", type=int, default=30, help="images of each part of a folder of images")
    parser.add_argument("--only", default="", help="KIND or KIND:NAME")
    parser.add_argument("--format", dest="formats", action="append", default=[], help="default: safetensors alone")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    loaded = load_config(options.config, overrides=options.settings)
    table = options.out / "commands.csv"
    rows = read_rows(table, kind=Row)
    done = {(row.kind, row.name) for row in rows}
    named = [f"finetune.steps={options.steps}", *(s for s in options.settings if not s.startswith(PATHS))]
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        fewer_images(Path(loaded.data.params["path"]), images, per_class=options.per_class)
        settings = [*options.settings, f"finetune.steps={options.steps}", f"data.path={images}"]
        every = list(commands(options.target_flops))
        places = {(command.kind, command.name): place for place, command in enumerate(every)}
        for command in every:
            wanted = options.only in ("", command.kind, f"{command.kind}:{command.name}")
            if not wanted or (command.kind, command.name) in done:
                continue
            rows.append(run(command, options.config, settings, options.formats or ["safetensors"]))
            print(rows[-1], flush=True)
            append_row(rows[-1], table)
            rows.sort(key=lambda row: places[row.kind, row.name])
            text = page(rows, model=loaded.model.name, settings=named, per_class=options.per_class)
            (options.out / "commands.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
