"""The first half: every contender chooses its networks, one after the other, since they are timed."""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.search.contenders import contender
from benchmarks.search.fastnas import NAME as FASTNAS
from benchmarks.search.networks import FOLDER, Chosen, Subject, read_chosen
from benchmarks.search.setting import Budget, Setting
from pruners import analyse
from search.config import Config
from search.config_file import load_config
from search.prepare import Prepared, group_rules, prepare
from search.run_folder import with_overrides
from spaces import UserError


def choose(options: argparse.Namespace) -> None:
    """Add to OUT what the asked contenders choose; what is there already stays.

    Raises:
        UserError: a mistake in the options, the configuration or the data.
    """
    config = load_config(options.config, overrides=[*options.set, "tracking.enabled=false"])
    fractions = [float(text) for text in options.budgets.split(",")]
    config = with_overrides(config, [f"target_flops={options.target or span(fractions)}"])
    networks = options.out / FOLDER
    networks.mkdir(parents=True, exist_ok=True)
    prepared = prepare(config, folder=networks, say=print)
    setting = make_setting(prepared, options)
    subject(prepared, config).write(networks)
    budgets = plain_budgets(prepared, fractions)
    names = options.contenders.split(",")
    for name in () if options.only_at else names:
        add(name, budgets, setting)
    further = budgets_of_fastnas(options.at, budgets, setting) if options.at else ()
    for name in names:
        add(name, further, setting)


def make_setting(prepared: Prepared, options: argparse.Namespace) -> Setting:
    """What contenders are given; a network that was trained here is not trained again by the searches."""
    started = time.perf_counter()
    analyse(prepared.model, prepared.task.example, rules=group_rules(prepared.config))
    weights = prepared.spec.model.weights
    return Setting(
        prepared=prepared,
        config=prepared.config if weights is None else with_overrides(prepared.config, [f"weights={weights}"]),
        analysis_seconds=time.perf_counter() - started,
        out=options.out,
        modelopt_python=options.modelopt_python.expanduser(),
        threads=options.threads,
        divisor=options.divisor,
    )


def span(fractions: Sequence[float]) -> str:
    """The range of our own search: all budgets, or the one there is."""
    return f"{min(fractions)}:{max(fractions)}" if len(fractions) > 1 else str(fractions[0])


def subject(prepared: Prepared, config: Config) -> Subject:
    """What all contenders prune, for the second half."""
    return Subject(
        task=prepared.spec,
        rules=group_rules(config),
        dense_macs=prepared.dense.macs,
        dense_params=prepared.dense.params,
    )


def plain_budgets(prepared: Prepared, fractions: Sequence[float]) -> list[Budget]:
    """Fractions of the dense network's MACs."""
    dense = prepared.dense.macs
    return [Budget(label=str(value), macs=int(value * dense + 1e-6), fraction=value) for value in fractions]


def budgets_of_fastnas(at: str, budgets: Sequence[Budget], setting: Setting) -> list[Budget]:
    """FastNAS's own MACs at the given budgets: `fastnas` takes all of them, `fastnas:0.5` one.

    Raises:
        UserError: FastNAS has no network there.
    """
    kind, _, label = at.partition(":")
    if kind != FASTNAS:
        raise UserError("--at", at, "must be fastnas, or fastnas:0.5 for one of the budgets")
    wanted = [budget for budget in budgets if label in ("", budget.label)]
    if not wanted:
        raise UserError("--at", at, "names none of the budgets", choices=[budget.label for budget in budgets])
    add(FASTNAS, budgets, setting)
    found = {chosen.budget: chosen for chosen in read_chosen(setting.out / FOLDER) if chosen.contender == FASTNAS}
    return [
        Budget(label=f"{FASTNAS}@{budget.label}", macs=found[budget.label].macs, fraction=budget.fraction)
        for budget in wanted
        if not found[budget.label].reason
    ]


def add(name: str, budgets: Sequence[Budget], setting: Setting) -> None:
    """Let a contender choose for the budgets that it has not answered yet."""
    networks = setting.out / FOLDER
    missing = [budget for budget in budgets if not (networks / name / f"{budget.label}.json").exists()]
    if not missing:
        return
    for chosen in answers(name, missing, setting):
        chosen.write(networks)
        share = chosen.macs / setting.prepared.dense.macs
        result = chosen.reason or f"{share:.4f} of dense, {chosen.params:,} parameters"
        print(
            f"{name:17s} {chosen.budget:12s} {result}, {chosen.seconds:.1f} s, {chosen.evaluations} scored", flush=True
        )


def answers(name: str, budgets: Sequence[Budget], setting: Setting) -> Iterator[Chosen]:
    """The contender's choices; FastNAS at its own MACs is FastNAS."""
    if name == FASTNAS and budgets[0].label.startswith(FASTNAS):
        found = {chosen.budget: chosen for chosen in read_chosen(setting.out / FOLDER) if chosen.contender == name}
        for budget in budgets:
            yield replace(found[budget.label.partition("@")[2]], budget=budget.label, budget_macs=budget.macs)
        return
    yield from contender(name)(setting, budgets)


def add_options(parser: argparse.ArgumentParser, *, names: Sequence[str]) -> None:
    """The options of this half."""
    parser.add_argument("config", type=Path, help="a configuration of `paretoprune search`")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration")
    parser.add_argument("--contenders", default=",".join(names), help=f"of {', '.join(names)}; searched@1 has seed 1")
    parser.add_argument("--budgets", default="0.3,0.5,0.7", help="fractions of the dense network's MACs")
    parser.add_argument("--at", default="", help="fastnas or fastnas:0.5: also at exactly FastNAS's own MACs")
    parser.add_argument("--only-at", action="store_true", help="for all but FastNAS, leave out --budgets themselves")
    parser.add_argument("--target", help="range of our own search; default: from the smallest to the largest budget")
    parser.add_argument("--threads", type=int, default=1, help="of FastNAS")
    parser.add_argument("--divisor", type=int, default=4, help="of FastNAS's widths; Model Optimizer's default is 32")
    parser.add_argument("--modelopt-python", type=Path, default=Path(".venv-modelopt/bin/python"))
