"""Everything that is done once, in the driver, before the first candidate: data, dense network, analysis, evidence."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import pruners
from evaluators.base import train_base
from evaluators.batches import Batches
from evaluators.precision import Precision, probe
from evaluators.recipe import Recipe
from evaluators.score import accuracy
from evaluators.task import DataSpec, ModelSpec, Splits, Task, TaskSpec, load_splits
from pruners import Analysis, Evidence, GroupRules, analyse, gather_evidence
from search.anchors import takes_vectors
from search.config import Config
from search.front import Dense
from search.latency import LATENCY_FILE, latency_model
from search.plugin_spaces import build_space, check_plugins, published
from search.recipes import ladder, recipe
from search.samplers import build_sampler
from search.targets import Budget
from spaces import InfeasibleError, Registry, UserError
from spaces.space import NO_STEP, Space

PROBE_IMAGES = 128
"""Images of the batch on which number formats race."""

EVIDENCE_SAMPLES = 512
"""Training images that gradients and activations are averaged over."""

Say = Callable[[str], None]
"""Hears what is being done, in a few words."""


def quiet(_: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What candidates are made from and measured with.

    Attributes:
        config: what was asked.
        spec: the task with the dense network's final weights: what workers get.
        splits: decoded data on the processor; never the test split.
        task: the data on this process's device.
        model: the dense network on that device, in evaluation mode.
        analysis: its groups and exact costs.
        evidence: what methods and allocators look at.
        budget: the compute budget in MACs.
        space: the candidates.
        dense: size of the dense network, and its accuracy on the search split.
    """

    config: Config
    spec: TaskSpec
    splits: Splits
    task: Task
    model: nn.Module
    analysis: Analysis
    evidence: Evidence
    budget: Budget
    space: Space
    dense: Dense


def task_spec(config: Config) -> TaskSpec:
    """The task that a configuration describes."""
    model = ModelSpec(name=config.model.name, params=config.model.params, weights=config.model_weights)
    return TaskSpec(
        model=model,
        data=DataSpec(name=config.data.name, params=config.data.params),
        seed=config.seed,
        device=config.device,
    )


def check_config(config: Config) -> None:
    """Find the mistakes that show without data or network.

    Raises:
        UserError: an unknown plugin, hyper-parameter or training option, or weights that are not there.
    """
    check_plugins(config, registries=pruners)
    for index, rung in enumerate(ladder(config)):
        rung.build(key=f"ladder.{index}")
    build_sampler(config.sampler, seed=config.seed)
    recipe(config.finetune, key="finetune", base=Recipe(epochs=1))
    if config.train:
        recipe(config.train, key="train")
    weights = config.model_weights
    if weights is not None and not Path(weights).is_file():
        raise UserError("weights", weights, "there is no such file")


def prepare(config: Config, *, folder: Path | None = None, known: Dense | None = None, say: Say = quiet) -> Prepared:
    """Read the data, build and analyse the dense network, and lay out the space.

    Args:
        config: what the user asked for.
        folder: where a network that has no weights and is trained here is kept, and found again, and so is the latency
            table; a temporary one if None.
        known: what an earlier start of the run has measured of the dense network.
        say: hears of each stage.

    Raises:
        UserError: a mistake in the configuration, data or weights.
        InfeasibleError: a budget out of reach; the message has the range.
    """
    check_config(config)
    spec = _placed(task_spec(config), config)
    say("reading data")
    splits = load_splits(spec)
    task = Task(spec, splits)
    say("analysing the network")
    # Before any training: a budget out of reach shows without it.
    model = task.dense_model()
    analysis = _analysed(config, task, model)
    if not analysis.groups:
        raise UserError(
            "model", config.model.name, "has no channels that can be pruned; `paretoprune inspect` says why"
        )
    budget = config.target.resolve(dense_macs=analysis.cost.dense_macs, min_macs=analysis.cost.min_macs)
    kept = None if folder is None else folder / LATENCY_FILE
    latency = latency_model(config, model, task.example, analysis, kept=kept, say=say)
    analysis = replace(analysis, latency=latency)
    space = build_space(config, groups=analysis.groups, budget=budget, registries=pruners)
    model = _dense_network(config, task, splits, model, folder=folder, say=say)
    say("gathering evidence")
    evidence = gather(model, task, analysis, space)
    if known is None:
        say("measuring the dense network")
    dense_accuracy = accuracy(model, task.search).accuracy if known is None else known.accuracy
    task.precision = chosen_precision(config, model, task) if known is None else known.precision
    cost = analysis.cost
    return Prepared(
        config=config,
        spec=replace(task.spec, device=config.device, precision=task.precision),
        splits=splits,
        task=task,
        model=model,
        analysis=analysis,
        evidence=evidence,
        budget=budget,
        space=space,
        dense=Dense(
            macs=cost.dense_macs,
            params=cost.dense_params,
            accuracy=dense_accuracy,
            latency_ms=None if latency is None else latency.dense_ms,
            precision=task.precision,
        ),
    )


def chosen_precision(config: Config, model: nn.Module, task: Task) -> Precision:
    """The configuration's number format, or the faster one of this machine."""
    if config.precision != "auto":
        return config.precision
    images, _ = Batches(task.search).plain(slice(0, PROBE_IMAGES))
    return probe(model, images)


def survey(config: Config) -> Analysis:
    """The analysis alone: what `inspect` shows; needs no weights.

    Raises:
        UserError: as `prepare`.
    """
    return examined(config)[2]


def examined(config: Config) -> tuple[Task, nn.Module, Analysis]:
    """The task, the dense network as it is before any training, and its analysis.

    Raises:
        UserError: as `prepare`.
    """
    spec = _placed(task_spec(config), config)
    task = Task(spec, load_splits(spec))
    model = task.dense_model()
    return task, model, _analysed(config, task, model)


def gather(model: nn.Module, task: Task, analysis: Analysis, space: Space) -> Evidence:
    """The evidence that the space's plugins need of the dense network, and those whose vectors are its anchors."""
    allocators = published(pruners.ALLOCATORS) if takes_vectors(space, analysis) else space.allocators
    used: tuple[tuple[Registry[Any], str], ...] = (
        *((pruners.ALLOCATORS, plugin.name) for plugin in allocators),
        *((pruners.METHODS, plugin.name) for plugin in space.methods),
        *((pruners.STEPS, plugin.name) for plugin in space.steps if plugin != NO_STEP),
    )
    needs = frozenset().union(*(getattr(registry.entry(name).target, "needs", ()) for registry, name in used))
    generator = torch.Generator().manual_seed(task.spec.seed)
    batches = task.batches(EVIDENCE_SAMPLES, batch_size=64, generator=generator)
    return gather_evidence(model, analysis, needs=needs, batches=batches, loss=task.loss)


def group_rules(config: Config) -> GroupRules:
    """Which groups may be cut, and how far."""
    asked = config.space
    return GroupRules(
        include=asked.include,
        exclude=asked.exclude,
        multiple_of=asked.multiple_of,
        min_keep=asked.min_keep,
        multiples=asked.multiples,
        ratios=asked.ratios,
    )


def _analysed(config: Config, task: Task, model: nn.Module) -> Analysis:
    return analyse(model, task.example, rules=group_rules(config))


def _placed(spec: TaskSpec, config: Config) -> TaskSpec:
    """The task for this process: a cluster's driver may have no GPU where its workers do."""
    if config.workers.address is not None and not torch.cuda.is_available():
        return replace(spec, device="cpu")
    return spec


def _dense_network(
    config: Config, task: Task, splits: Splits, model: nn.Module, *, folder: Path | None, say: Say
) -> nn.Module:
    """The dense network with its weights: the user's, those trained here before, or trained now."""
    named = task.spec.model
    if named.weights is not None or not config.train:
        if named.weights is None and ":" not in named.name and not named.params.get("weights"):
            rule = "is required: a file of trained weights, or a recipe under `train`, such as `train: {epochs: 30}`"
            raise UserError("weights", None, rule)
        return model
    place = folder or Path(tempfile.mkdtemp(prefix="paretoprune-"))

    def announce(step: int, _: float) -> None:
        if step == 1:
            say("training the dense network")

    task.spec = train_base(task.spec, splits, recipe=recipe(config.train, key="train"), folder=place, on_step=announce)
    return task.dense_model()


__all__ = [
    "InfeasibleError",
    "Prepared",
    "Say",
    "check_config",
    "examined",
    "gather",
    "group_rules",
    "prepare",
    "task_spec",
]
