"""Torch-Pruning at a MACs budget: its pruning ratio is bisected, since it has no budget of its own.

Only layers that alone compute their channels are pruned. Torch-Pruning cuts the zero-padded shortcuts of CIFAR ResNets
out of line without a word (benchmarks/surgery shows it), so the channels that a residual stage shares stay whole here.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from benchmarks.search.networks import Chosen
from benchmarks.search.setting import Budget, Contender, Setting, none_found
from pruners import Plan, count_macs, slim
from search.prepare import EVIDENCE_SAMPLES
from spaces import ChannelGroup, PlanError

BISECTIONS = 12
OFF = 1e-3

Gradients: TypeAlias = Mapping[str, Tensor]


def torch_pruning(name: str, *, importance: str, everywhere: bool) -> Contender:
    """The contender of one importance.

    Args:
        name: of the contender.
        importance: `magnitude` (L2) or `taylor`.
        everywhere: one ranking of all channels; else the same ratio in every layer.
    """

    def choose(setting: Setting, budgets: Sequence[Budget]) -> Iterator[Chosen]:
        started = time.perf_counter()
        gradients = mean_gradients(setting) if importance == "taylor" else {}
        gathered = time.perf_counter() - started

        def cut(ratio: float) -> tuple[nn.Module, dict[str, list[int]]]:
            return pruned(setting, gradients, importance=importance, everywhere=everywhere, ratio=ratio)

        for budget in budgets:
            started = time.perf_counter()
            found = bisected(cut, budget.macs, setting.prepared.task.example)
            facts = {"seconds": gathered + time.perf_counter() - started, "version": installed()}
            if found is None:
                yield none_found(name, budget, "its smallest network is larger", **facts)
                continue
            check_alike(setting, *found)
            yield setting.chosen(name, budget, found[1], **facts)

    return choose


def bisected(
    cut: Callable[[float], tuple[nn.Module, dict[str, list[int]]]], budget_macs: int, example: Tensor
) -> tuple[nn.Module, dict[str, list[int]]] | None:
    """The network of the smallest ratio that meets the budget."""
    low, high, best = 0.0, 1.0, None
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        found = cut(middle)
        if count_macs(found[0], example) <= budget_macs:
            high, best = middle, found
        else:
            low = middle
    return best


def pruned(
    setting: Setting, gradients: Gradients, *, importance: str, everywhere: bool, ratio: float
) -> tuple[nn.Module, dict[str, list[int]]]:
    """What Torch-Pruning makes of a copy of the dense network, and the channels that it kept by our groups' names."""
    import torch_pruning as tp

    copied = copy.deepcopy(setting.prepared.model)
    for name, parameter in copied.named_parameters():
        parameter.grad = gradients[name].clone() if name in gradients else None
    roots = {root: group for group in setting.prepared.analysis.groups if (root := sole_producer(group))}
    kinds = (nn.Conv2d, nn.Linear)
    ignored = [layer for name, layer in copied.named_modules() if isinstance(layer, kinds) and name not in roots]
    scores: Any = tp.importance
    chosen = scores.GroupTaylorImportance() if importance == "taylor" else scores.GroupMagnitudeImportance(p=2)
    pruner = tp.pruner.BasePruner(
        copied,
        setting.prepared.task.example,
        chosen,
        global_pruning=everywhere,
        pruning_ratio=ratio,
        ignored_layers=ignored,
    )
    pruner.step()
    kept = {group.name: list(range(group.width)) for group in roots.values()}
    for root, is_output, indices in pruner.pruning_history():
        if not is_output or root not in roots:
            raise PlanError(f"Torch-Pruning cut {root}, which it was told to leave alone")
        gone = set(indices)
        kept[roots[root].name] = [index for index in range(roots[root].width) if index not in gone]
    return copied.eval(), kept


def sole_producer(group: ChannelGroup) -> str | None:
    """The layer that computes the group's channels, where a single one does."""
    producers = group.with_role("producer")
    return producers[0].tensor.removesuffix(".weight") if len(producers) == 1 else None


def mean_gradients(setting: Setting) -> dict[str, Tensor]:
    """Gradients of the loss, averaged over as many train images as our own methods see."""
    task, model = setting.prepared.task, copy.deepcopy(setting.prepared.model)
    generator = torch.Generator().manual_seed(task.spec.seed)
    for images, labels in task.batches(EVIDENCE_SAMPLES, batch_size=64, generator=generator):
        (task.loss(model(images), labels) * len(images) / EVIDENCE_SAMPLES).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def check_alike(setting: Setting, theirs: nn.Module, kept: Mapping[str, Sequence[int]]) -> None:
    """Proof that the kept channels were read off rightly: our cut of the same channels answers like their network.

    Raises:
        PlanError: it does not.
    """
    prepared = setting.prepared
    ours = slim(prepared.model, prepared.analysis.groups, Plan.of(kept)).eval()
    with torch.no_grad():
        expected, got = theirs(prepared.task.example), ours(prepared.task.example)
    if float((expected - got).abs().max()) > OFF * float(expected.abs().max()):
        raise PlanError("Torch-Pruning's network and the same channels cut by us answer differently")


def installed() -> str:
    """Its version."""
    try:
        return f"torch-pruning {version('torch-pruning')}"
    except PackageNotFoundError:
        return "torch-pruning"
