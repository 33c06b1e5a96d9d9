"""Masking single weights: as published, in rounds or gradually; the network gets no smaller, and the report says so."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from evaluators.artifact import ARCHITECTURE, WEIGHTS, Preprocessing, save_slim
from evaluators.recipe import Recipe
from evaluators.registries import REGIMES
from evaluators.sap import SapRound, SapSettings, run_sap
from evaluators.score import accuracy
from evaluators.task import Task, load_test
from evaluators.weight_round import WeightRound
from evaluators.while_training import mask_while_training
from pruners import count_macs
from pruners.clone import clone
from pruners.pq_index import PQRule
from search.config import Plugin
from search.destination import check_destination, complete_folder
from search.prepare import Prepared, Say, quiet
from spaces import UserError

OURS = (WEIGHTS, ARCHITECTURE, "report.json")
SAP = "sap"
NOTE = (
    "Single weights are zero. The network is not smaller: it has the parameters and the MACs of the dense one. "
    "nonzero_macs counts multiplications with unmasked weights alone; never compare it with MACs of a pruned network."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReport:
    """Everything about one masked network; `report.json` holds exactly this.

    Attributes:
        note: what the figures mean.
        granularity: always `weights`.
        model: name of the network.
        data: name of the data set.
        method: name and every hyper-parameter.
        seed: of everything random.
        recipe: of the training, or of each round's.
        macs: real multiply-adds of one image, before and after.
        nonzero_macs: those with weights that are not masked.
        num_weights: weights that could be masked.
        remaining_weights: those that are not.
        dense_accuracy: of the network before, on the test split.
        accuracy: of the masked network, on the test split.
        stopped: whether a rising PQ index ended the rounds.
        rounds: from the start to the end; accuracies there are of the search split.
    """

    note: str = NOTE
    granularity: str = "weights"
    model: str
    data: str
    method: Mapping[str, Any]
    seed: int
    recipe: Mapping[str, Any]
    macs: int
    nonzero_macs: int
    num_weights: int
    remaining_weights: int
    dense_accuracy: float
    accuracy: float
    stopped: bool
    rounds: tuple[WeightRound, ...]

    def to_json(self) -> str:
        """Indented JSON; floats in full precision."""
        return json.dumps(asdict(self), indent=2) + "\n"


def check_method(plugin: Plugin) -> None:
    """Find mistakes in what a user asks for before anything is read.

    Raises:
        UserError: no such method of single weights, or a wrong hyper-parameter.
    """
    if plugin.name == SAP:
        sap_settings(plugin.params)
        return
    weights = [entry.name for entry in REGIMES if entry.target.granularity == "weights"]
    if plugin.name not in weights:
        rule = "masks no single weights; `paretoprune prune` removes channels"
        raise UserError("--method", plugin.name, rule, choices=(SAP, *weights))
    REGIMES.build(plugin.name, plugin.params, key="--method")


def sap_settings(params: Mapping[str, Any]) -> SapSettings:
    """Settings of SAP from one flat mapping.

    Raises:
        UserError: an unknown name, or a value that breaks its rule.
    """
    of_rule = {field.name for field in fields(PQRule)}
    of_run = {field.name for field in fields(SapSettings)} - {"rule"}
    for name in params:
        if name not in of_rule | of_run:
            raise UserError("--method.sap", name, "no such hyper-parameter", choices=of_rule | of_run)
    try:
        rule = PQRule(**{"round_up": True, **{name: params[name] for name in of_rule & params.keys()}})
        return SapSettings(rule=rule, **{name: params[name] for name in of_run & params.keys()})
    except (ValueError, TypeError) as error:
        raise UserError("--method.sap", None, str(error)) from error


def mask_network(prepared: Prepared, plugin: Plugin, *, recipe: Recipe, out: Path, say: Say = quiet) -> MaskReport:
    """Mask single weights of the dense network and write it to `out`, which is then complete, or as it was.

    Args:
        prepared: data and dense network.
        plugin: `sap`, or a regime of single weights, with hyper-parameters.
        recipe: of the training, or of each round's.
        out: folder; new, empty, or with an earlier result, which is replaced.
        say: hears of each stage.

    Raises:
        UserError: the method or `out` can't be used.
        NonFiniteLossError: a training diverged.
    """
    check_method(plugin)
    check_destination(out, ours=OURS)
    task, network = prepared.task, clone(prepared.model, {})
    generator = torch.Generator().manual_seed(prepared.config.seed)
    with complete_folder(out) as folder:
        say(f"training and masking with {plugin.name}")
        if plugin.name == SAP:
            settings: Any = sap_settings(plugin.params)
            run = run_sap(network, task, settings=settings, recipe=recipe, generator=generator)
            rounds, stopped = tuple(_as_weight_round(found) for found in run.rounds), run.stopped
        else:
            settings = REGIMES.build(plugin.name, plugin.params, key="--method")
            rounds = mask_while_training(settings, network, task, recipe=recipe, generator=generator).rounds
            stopped = False
        say("measuring on the test split")
        test = load_test(task.spec).to(task.device)
        report = MaskReport(
            model=task.spec.model.name,
            data=task.spec.data.name,
            method={"name": plugin.name, **asdict(settings)},
            seed=prepared.config.seed,
            recipe=asdict(recipe),
            macs=count_macs(network, task.example),
            nonzero_macs=rounds[-1].nonzero_macs,
            num_weights=rounds[-1].num_weights,
            remaining_weights=rounds[-1].remaining_weights,
            dense_accuracy=accuracy(prepared.model, test).accuracy,
            accuracy=accuracy(network, test).accuracy,
            stopped=stopped,
            rounds=rounds,
        )
        _write(network, task, folder)
        (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
    return report


def _as_weight_round(found: SapRound) -> WeightRound:
    shared = {field.name: getattr(found, field.name) for field in fields(SapRound) if field.name != "score"}
    return WeightRound(**shared, accuracy=found.score.accuracy)


def _write(network: torch.nn.Module, task: Task, folder: Path) -> None:
    preprocessing = Preprocessing.of(task)
    save_slim(
        folder,
        network,
        task.spec.model,
        num_classes=task.num_classes,
        example=task.example,
        preprocessing=preprocessing,
    )
