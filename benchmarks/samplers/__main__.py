"""Which sampler finds the better front in the same number of evaluations.

    python -m benchmarks.samplers CONFIG --out DIR [--samplers random,tpe,nsga2,gp,evolution] [--seeds 3] [--trials 100]

Every search has the same network, data, space, anchors and answers; only who draws differs. Written to DIR: runs.csv
(one row per evaluation), table.md and plot.png.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.samplers.curves import RUNS, Remembering, Step, missing, search
from benchmarks.samplers.report import plot, table
from benchmarks.tables import read_rows, write_rows
from search.config_file import load_config
from search.prepare import prepare
from spaces import ParetopruneError

LADDER = "ladder=[{proxy: recalibrate, num_samples: 1024}]"
"""Recalibration alone, so that an evaluation is cheap and every candidate has one."""


def main(arguments: Sequence[str]) -> int:
    """Search what is missing in DIR, then write table and plot from its rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.samplers", description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a configuration of `paretoprune search`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results; what it has is kept")
    parser.add_argument("--samplers", default="random,random-alone,tpe,nsga2,gp,evolution")
    parser.add_argument("--seeds", type=int, default=3, help="of each sampler, from 0")
    parser.add_argument("--trials", type=int, default=100, help="evaluations of each search")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", type=Path, help="keeps answers and studies between calls; a temporary folder if none")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            measure(options, work=options.work or Path(temporary))
    except ParetopruneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    steps = read_rows(options.out / RUNS, kind=Step)
    text = table(steps)
    (options.out / "table.md").write_text(text, encoding="utf-8")
    plot(steps, options.out / "plot.png")
    print(text)
    return 0


def measure(options: argparse.Namespace, *, work: Path) -> None:
    """Run the searches that DIR has no complete rows of."""
    path = options.out / RUNS
    steps = read_rows(path, kind=Step)
    left = missing(options.samplers.split(","), options.seeds, steps, trials=options.trials)
    if not left:
        return
    write_rows([step for step in steps if (step.sampler, step.seed) not in left], path, kind=Step)
    config = load_config(options.config, overrides=[LADDER, f"trials={options.trials}", *options.settings])
    work.mkdir(parents=True, exist_ok=True)
    prepared = prepare(config, folder=work, say=print)
    evaluator = Remembering(prepared, work / "answers.jsonl")
    for name, seed in left:
        search(name, seed=seed, prepared=prepared, evaluator=evaluator, work=work / "runs", out=options.out)
        print(f"{name}, seed {seed}: done", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
