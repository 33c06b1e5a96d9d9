"""How much accuracy each channel group costs when it alone is cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from evaluators.score import Score, accuracy, recalibrate
from evaluators.task import Task
from pruners import METHODS, Analysis, Evidence, Plan, slim
from pruners.budget import rounded_widths
from pruners.decide import choose
from pruners.ledger import IntArray
from spaces import ChannelGroup, Choice, UserError

RATIOS = (0.25, 0.5, 0.75)
OnGroup = Callable[[int, int], None]
"""Hears which group comes, from 0, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The network with one group cut and everything else dense.

    Attributes:
        ratio: fraction of the group's channels that was to go, in [0, 1).
        kept: channels that stayed, by the group's multiple and bounds.
        macs: of the whole network, for one image.
        macs_saved: fraction of the dense network's MACs that went; higher is better.
        accuracy: on the search split, fraction in [0, 1], with recalibrated batch norms and no training.
        accuracy_change: `accuracy` minus the dense network's; negative where accuracy is lost.
        loss: mean cross-entropy on the search split in nats; lower is better.
    """

    ratio: float
    kept: int
    macs: int
    macs_saved: float
    accuracy: float
    accuracy_change: float
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """One group, cut by each ratio in turn.

    Attributes:
        group: its name.
        stage: that it belongs to.
        width: its channels in the dense network.
        cuts: one for each ratio, in the order in which the ratios were given.
    """

    group: str
    stage: str
    width: int
    cuts: tuple[Cut, ...]

    @property
    def mean_change(self) -> float:
        """Mean change of accuracy over the ratios; the lower, the more sensitive."""
        return sum(cut.accuracy_change for cut in self.cuts) / len(self.cuts)


def sensitivity(
    task: Task,
    model: nn.Module,
    analysis: Analysis,
    evidence: Evidence,
    *,
    method: Choice,
    ratios: Sequence[float],
    generator: torch.Generator,
    on_group: OnGroup | None = None,
) -> tuple[Sensitivity, ...]:
    """Cut each group alone by each ratio, re-estimate batch-norm statistics and score (arXiv 1608.08710, section 3.2).

    The paper keeps the old statistics. Here every cut is recalibrated, on the same images, so that differences come
    from the cuts. Where a ratio removes nothing, the answer is the dense network's own.

    Args:
        task: recalibrated on its train split, scored on its search split.
        model: the dense network on the task's device; left as it was.
        analysis: its groups and costs.
        evidence: what `method` needs.
        method: chooses the channels that stay.
        ratios: fractions to remove.
        generator: decides the images of the recalibration.
        on_group: hears of progress.

    Returns:
        One for each group, in the order of the forward pass.

    Raises:
        UserError: unknown method or hyper-parameter, or a ratio out of range.
        PlanError: the method gives numbers that can't be used.
    """
    check_ratios(ratios)
    probe = _Probe(
        task=task,
        model=model,
        analysis=analysis,
        evidence=evidence,
        method=METHODS.build(method.name, dict(method.params), key="method"),
        seed=int(torch.randint(2**62, (), generator=generator)),
        dense=accuracy(model, task.search),
    )
    found = []
    for index, group in enumerate(analysis.groups):
        if on_group is not None:
            on_group(index, len(analysis.groups))
        cuts = probe.cuts(index, ratios)
        found.append(Sensitivity(group=group.name, stage=group.stage, width=group.width, cuts=cuts))
    return tuple(found)


def check_ratios(ratios: Sequence[float], *, key: str = "ratios") -> None:
    """Ratios are distinct fractions in [0, 1).

    Raises:
        UserError: they are not.
    """
    if not ratios:
        raise UserError(key, None, "needs at least one fraction to remove, such as 0.5")
    for ratio in ratios:
        if not 0 <= ratio < 1:
            raise UserError(key, ratio, "must be a fraction of channels to remove, at least 0 and below 1")
    if len(set(ratios)) < len(ratios):
        raise UserError(key, ", ".join(f"{ratio:g}" for ratio in ratios), "names a fraction twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """What all cuts share."""

    task: Task
    model: nn.Module
    analysis: Analysis
    evidence: Evidence
    method: Any
    seed: int
    dense: Score

    def cuts(self, index: int, ratios: Sequence[float]) -> tuple[Cut, ...]:
        """The group number `index` cut by each of `ratios`; ratios that leave equal widths are measured once."""
        cost, group = self.analysis.cost, self.analysis.groups[index]
        widths: IntArray = rounded_widths(np.array(ratios)[:, None], [group])[:, 0]
        rows = np.repeat(cost.dense[None], len(ratios), axis=0)
        rows[:, index] = widths
        scores = {width: self._score(group, width) for width in sorted({int(width) for width in widths})}
        found = []
        for ratio, width, macs in zip(ratios, widths, cost.macs(rows), strict=True):
            score = scores[int(width)]
            cut = Cut(
                ratio=ratio,
                kept=int(width),
                macs=int(macs),
                macs_saved=1 - int(macs) / cost.dense_macs,
                accuracy=score.accuracy,
                accuracy_change=score.accuracy - self.dense.accuracy,
                loss=score.loss,
            )
            found.append(cut)
        return tuple(found)

    def _score(self, group: ChannelGroup, width: int) -> Score:
        if width == group.width:
            return self.dense
        plan = Plan.of({group.name: choose(self.method, group, width, self.evidence)})
        small = slim(self.model, [group], plan).eval()
        recalibrate(small, self.task.train, generator=torch.Generator().manual_seed(self.seed))
        return accuracy(small, self.task.search)
