"""What a search costs beside its evaluations; benchmarks/README.md says what is counted.

python -m benchmarks.overhead CONFIG --trials N --out DIR     # real searches with one and with all workers
python -m benchmarks.overhead --asks --out DIR                # drawing a candidate after thousands of trials
"""

import argparse
import sys
from pathlib import Path

from benchmarks.overhead.asks import measure_asks
from benchmarks.overhead.report import write_summary
from benchmarks.overhead.searches import measure_search
from search.config_file import load_config
from search.runtime.session import available_cpus
from spaces import ParetopruneError


def main(arguments: list[str]) -> int:
    """Measure, add the rows to DIR's tables, and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, nargs="?", help="a configuration of `paretoprune search`")
    parser.add_argument("--trials", type=int, default=60, help="candidates of each search")
    parser.add_argument("--workers", type=int, nargs="+", default=sorted({1, available_cpus()}), help="1 and all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--label", default="", help="of the rows; by default the configuration's ladder")
    parser.add_argument("--asks", action="store_true", help="measure the samplers")
    parser.add_argument("--parameters", type=int, default=60, help="of a candidate, with --asks")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        if options.config is not None:
            for workers in options.workers:
                extra = [*options.overrides, f"trials={options.trials}", f"workers.count={workers}"]
                measure_search(load_config(options.config, overrides=extra), label=options.label, out=options.out)
        if options.asks:
            measure_asks(options.out, num_parameters=options.parameters)
    except ParetopruneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(write_summary(options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
