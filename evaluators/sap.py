"""SAP as published: rounds of training and pruning single weights, each round as much as the PQ index allows."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from evaluators.clipping import clipped_gradients
from evaluators.masked import MaskHook
from evaluators.recipe import Recipe
from evaluators.score import Score, accuracy
from evaluators.task import Task
from evaluators.train import Trainer
from pruners.masks import Masks, nonzero_macs, prunable_weights
from pruners.pq_index import PQRule
from pruners.sap_weights import SCOPES, Scope, gini, pruned_further, sparsity


@dataclass(frozen=True, slots=True, kw_only=True)
class SapSettings:
    """What a run of SAP does.

    Attributes:
        rule: how much goes each round.
        scope: a unit is an output neuron, a layer, or the network.
        rounds: prunings; there is one training more. Published: 30 for small networks, 15 for ResNets.
        rewind: `init` starts every training from the initial weights, as published; `none` goes on from the trained
            ones, which suits networks that come trained.
        clip: largest norm of all gradients of a step together, those of masked weights included; published: 1. 0 clips
            nothing.
        share: of the remaining weights that goes each round in place of what the index says: the authors' baselines,
            published 0.2.
        rank_on: `last` ranks the weights as they are now (with a share: lottery tickets); `first` as the first training
            left them (the authors' one-shot baseline).
        patience: stop when the PQ index of the whole network has risen this many rounds in a row: what is left can't be
            compressed further. 0 never stops. Our reading of the paper's hypothesis.
    """

    rule: PQRule = field(default_factory=lambda: PQRule(round_up=True))
    scope: Scope = "layer"
    rounds: int = 15
    rewind: Literal["init", "none"] = "none"
    clip: float = 1.0
    share: float | None = None
    rank_on: Literal["last", "first"] = "last"
    patience: int = 0

    def __post_init__(self) -> None:
        if self.scope not in SCOPES or self.rewind not in ("init", "none"):
            raise ValueError(f"needs scope in {SCOPES} and rewind init or none, got {self.scope} and {self.rewind}")
        if self.rank_on not in ("last", "first") or not 0 <= (self.share or 0) < 1:
            raise ValueError(f"needs rank_on last or first and share in [0, 1), got {self.rank_on} and {self.share}")
        if min(self.rounds, self.patience, self.clip) < 0:
            raise ValueError(f"needs rounds, patience and clip >= 0, got {self.rounds}, {self.patience}, {self.clip}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SapRound:
    """The network after a round's training.

    Attributes:
        number: prunings before it, 0 for the dense network.
        remaining_weights: unmasked weights.
        num_weights: of the dense network's prunable tensors.
        nonzero_macs: multiply-adds with unmasked weights, for one image; no built network's MACs.
        score: on the search split.
        pqi: PQ index per tensor, of its unmasked weights; higher is sparser.
        global_pqi: of all unmasked weights together.
        gini: Gini index per tensor, logged beside it as published; higher is sparser.
        global_gini: of all unmasked weights together.
    """

    number: int
    remaining_weights: int
    num_weights: int
    nonzero_macs: int
    score: Score
    pqi: Mapping[str, float]
    global_pqi: float
    gini: Mapping[str, float]
    global_gini: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SapResult:
    """All rounds, the masks of the last one, and whether the rising PQ index ended the run."""

    rounds: tuple[SapRound, ...]
    masks: Masks
    stopped: bool


def run_sap(
    model: nn.Module,
    task: Task,
    *,
    settings: SapSettings,
    recipe: Recipe,
    generator: torch.Generator,
    initial: Mapping[str, Tensor] | None = None,
) -> SapResult:
    """Train, measure and prune `model`, in place, round after round; it ends trained under the last masks.

    Source: arXiv:2302.05601, Algorithm 1. As published except for the checkpoint: the authors prune the best epoch on
    the test split, here it is the last one and the test split is never seen. Batch-norm statistics are not rewound.

    Args:
        model: on the task's device.
        task: the data.
        settings: of the pruning.
        recipe: of each round's training.
        generator: decides everything random.
        initial: parameters to rewind to; by default those that `model` has now.

    Raises:
        NonFiniteLossError: a training diverged.
    """
    start = {name: value.detach().clone() for name, value in (initial or dict(model.named_parameters())).items()}
    masks = Masks.dense(model)
    rounds: list[SapRound] = []
    ranked: dict[str, Tensor] = {}
    while True:
        if settings.rewind == "init":
            _rewind(model, start)
        masks.apply(model)
        with clipped_gradients(model, settings.clip):
            Trainer(model=model, task=task, recipe=recipe, hooks=(MaskHook(masks=masks),)).run(generator=generator)
        rounds.append(_measured(model, task, masks, settings.rule, number=len(rounds)))
        stopped = risen([found.global_pqi for found in rounds], settings.patience)
        if stopped or len(rounds) > settings.rounds:
            return SapResult(rounds=tuple(rounds), masks=masks, stopped=stopped)
        now = prunable_weights(model)
        ranked = ranked or {name: weight.detach().clone() for name, weight in now.items()}
        by = ranked if settings.rank_on == "first" else now
        masks = pruned_further(by, masks, settings.rule, scope=settings.scope, share=settings.share)


def risen(values: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` steps of a series all went up; never for a patience of 0."""
    last = values[-patience - 1 :]
    return 0 < patience < len(values) and all(later > earlier for earlier, later in itertools.pairwise(last))


def _rewind(model: nn.Module, start: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in start:
                parameter.copy_(start[name])


def _measured(model: nn.Module, task: Task, masks: Masks, rule: PQRule, *, number: int) -> SapRound:
    weights = prunable_weights(model)
    pqi, global_pqi = sparsity(weights, masks, rule)
    by_layer, whole = gini(weights, masks)
    return SapRound(
        number=number,
        remaining_weights=masks.num_kept,
        num_weights=masks.num_weights,
        nonzero_macs=nonzero_macs(model, masks, task.example),
        score=accuracy(model, task.search),
        pqi=pqi,
        global_pqi=global_pqi,
        gini=by_layer,
        global_gini=whole,
    )
