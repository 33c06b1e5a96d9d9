"""A search's front against uniform pruning at the same budgets, with the same fine-tuning, on the test split.

    python -m benchmarks.against_uniform RUN --out benchmarks/results/digits

RUN is a finished search. For up to `--members` members of its front, spread over its MACs, and for uniform pruning by
each of `--methods` at exactly the same budgets, the network is cut from the dense weights, its batch norms are
recalibrated, it is fine-tuned with one recipe and measured on the test split, once for each of `--seeds` seeds. The
search has never seen that split. Written to OUT: runs.csv (every run), summary.md, front.png.
"""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.tables import write_rows
from evaluators.recipe import Recipe
from evaluators.task import load_test
from evaluators.train import accuracy, finetune, recalibrate
from evaluators.worker import Evaluator, candidate_generator
from search.flow import prepare, read_run
from search.front import Front, Measured, hypervolume
from search.prepare import Prepared
from search.recipes import EXPORT_RECIPE, recipe
from search.run_folder import find_run
from spaces import Candidate, Choice

SEARCHED = "searched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One network: who chose it, what it costs, and its accuracy on the test split after fine-tuning."""

    who: str
    seed: int
    budget_macs: int
    macs: int
    params: int
    accuracy: float


def main() -> None:
    """Measure, write and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default="l2")
    parser.add_argument("--steps", type=int, help="optimiser steps of the fine-tuning; default: the export's recipe")
    parser.add_argument("--lr", type=float)
    options = parser.parse_args()
    folder = find_run(options.run, runs=options.runs_dir)
    result = read_run(folder)
    prepared = prepare(result.config, folder=folder.path, say=print)
    changes = {"steps": options.steps, "epochs": None} if options.steps else {}
    changes |= {"lr": options.lr} if options.lr else {}
    settings = recipe({**result.config.finetune, **changes}, key="finetune", base=EXPORT_RECIPE)
    runs = list(measure_all(prepared, spread(result.front, options.members), settings, options))
    options.out.mkdir(parents=True, exist_ok=True)
    write_rows(runs, options.out / "runs.csv", kind=Run)
    test = dense_test_accuracy(prepared)
    summary = summarise(runs, dense_macs=result.dense.macs, dense_accuracy=test, settings=settings)
    (options.out / "summary.md").write_text(summary, encoding="utf-8")
    plot(runs, dense_macs=result.dense.macs, dense_accuracy=test, path=options.out / "front.png")
    print(summary)


def spread(front: Front, count: int) -> list[Measured]:
    """At most `count` members, evenly spread over the front's order, both ends among them."""
    members = front.members
    if len(members) <= count:
        return list(members)
    return [members[round(index * (len(members) - 1) / (count - 1))] for index in range(count)]


def measure_all(
    prepared: Prepared, members: list[Measured], settings: Recipe, options: argparse.Namespace
) -> Iterator[Run]:
    """Every member and its uniform rivals, for every seed."""
    evaluator = Evaluator(prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, ())
    test = load_test(prepared.spec).to(evaluator.task.device)
    for member in members:
        rivals = {SEARCHED: member.candidate}
        for method in options.methods.split(","):
            rivals[f"uniform {method}"] = Candidate(
                budget_macs=member.macs, allocator=Choice.of("uniform"), method=Choice.of(method)
            )
        for seed in range(options.seeds):
            for who, candidate in rivals.items():
                plan, model = evaluator.build(candidate)
                generator = candidate_generator(candidate, seed=seed)
                recalibrate(model, evaluator.task.train, generator=generator)
                finetune(model, evaluator.task, recipe=settings, generator=generator, teacher=evaluator.dense)
                counts = prepared.analysis.cost
                kept = plan.counts(prepared.analysis.groups)
                run = Run(
                    who=who,
                    seed=seed,
                    budget_macs=member.macs,
                    macs=int(counts.macs(kept)[0]),
                    params=int(counts.params(kept)[0]),
                    accuracy=accuracy(model, test).accuracy,
                )
                print(
                    f"{run.macs / prepared.dense.macs:7.3f} of dense  {who:14s} seed {seed}  {run.accuracy:.4f}",
                    flush=True,
                )
                yield run


def dense_test_accuracy(prepared: Prepared) -> float:
    """Of the network that everything is cut from."""
    return float(accuracy(prepared.model, load_test(prepared.spec).to(prepared.task.device)).accuracy)


def summarise(runs: list[Run], *, dense_macs: int, dense_accuracy: float, settings: Recipe) -> str:
    """Mean and standard deviation over the seeds at each budget, and each rival's mean hypervolume."""
    names = list(dict.fromkeys(run.who for run in runs))
    budgets = sorted({run.budget_macs for run in runs})
    seeds = sorted({run.seed for run in runs})
    length = f"{settings.steps} steps" if settings.steps else f"{settings.epochs:g} epochs"
    lines = [
        f"Test accuracy in %, mean ± standard deviation over {len(seeds)} seeds, after {length} of fine-tuning for "
        f"all. Dense: {100 * dense_accuracy:.2f} %, {dense_macs:,} MACs.",
        "",
        "| MACs of dense | " + " | ".join(names) + " | difference |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for budget in budgets:
        means, cells = [], []
        for name in names:
            values = [100 * run.accuracy for run in runs if run.who == name and run.budget_macs == budget]
            means.append(statistics.fmean(values))
            cells.append(f"{means[-1]:.2f} ± {statistics.stdev(values) if len(values) > 1 else 0:.2f}")
        lines.append(f"| {budget / dense_macs:.3f} | " + " | ".join(cells) + f" | {means[0] - max(means[1:]):+.2f} |")
    volumes = {
        name: [
            hypervolume([(run.accuracy, run.macs / dense_macs) for run in runs if run.who == name and run.seed == seed])
            for seed in seeds
        ]
        for name in names
    }
    cells = [f"{statistics.fmean(values):.4f}" for values in volumes.values()]
    gap = statistics.fmean(volumes[names[0]]) - max(statistics.fmean(volumes[name]) for name in names[1:])
    lines.append("| hypervolume | " + " | ".join(cells) + f" | {gap:+.4f} |")
    return "\n".join(lines) + "\n"


def plot(runs: list[Run], *, dense_macs: int, dense_accuracy: float, path: Path) -> None:
    """Mean accuracy over MACs, every run as a dot."""
    figure, axes = pyplot.subplots(figsize=(8, 4.8), dpi=160)
    colours = ["#0b6e4f", "#c1440e", "#5a5a5a", "#7b5ea7"]
    for name, colour in zip(dict.fromkeys(run.who for run in runs), colours, strict=False):
        mine = [run for run in runs if run.who == name]
        axes.scatter(
            [run.macs / 1e6 for run in mine], [100 * run.accuracy for run in mine], s=9, color=colour, alpha=0.35
        )
        budgets = sorted({run.budget_macs for run in mine})
        x = [statistics.fmean(run.macs for run in mine if run.budget_macs == b) / 1e6 for b in budgets]
        y = [100 * statistics.fmean(run.accuracy for run in mine if run.budget_macs == b) for b in budgets]
        axes.plot(
            x, y, marker="o", ms=5, lw=1.8, color=colour, label="paretoprune search" if name == SEARCHED else name
        )
    axes.scatter([dense_macs / 1e6], [100 * dense_accuracy], marker="*", s=120, color="black", label="dense", zorder=3)
    axes.set_xlabel("MACs of one image (millions)")
    axes.set_ylabel("test accuracy (%)")
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
