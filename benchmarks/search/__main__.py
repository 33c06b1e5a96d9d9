"""Our search beside its rivals, with the same fine-tuning for all; benchmarks/README.md says how and why.

    python -m benchmarks.search choose CONFIG --out DIR
    python -m benchmarks.search finetune --out DIR --seeds 3
    python -m benchmarks.search report --out DIR

Each half goes on where an earlier call stopped: networks and rows that are there already stay.
"""

import argparse
import sys
from pathlib import Path

from spaces import ParetopruneError


def main(arguments: list[str]) -> int:
    """Run one half; its imports come after its name is known, since `finetune` must do without the searchers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = next((word for word in arguments if not word.startswith("-")), "")
    for name in ("choose", "finetune", "report"):
        subparser = commands.add_parser(name)
        subparser.add_argument("--out", type=Path, required=True, help="folder of the benchmark of one network")
        if name != command:
            continue
        if name == "choose":
            from benchmarks.search.choose import add_options, choose
            from benchmarks.search.contenders import NAMES

            add_options(subparser, names=NAMES)
            work = choose
        elif name == "finetune":
            from benchmarks.search.finetune import add_options as add_finetune_options
            from benchmarks.search.finetune import run as work

            add_finetune_options(subparser)
        else:
            from benchmarks.search.report import report as work
    try:
        work(parser.parse_args(arguments))
    except ParetopruneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
