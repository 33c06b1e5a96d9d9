"""One magnitude threshold for the whole network, after every layer's weights are divided by its cost."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pruners.cost import FloatArray, LayerCost
from pruners.evidence import Evidence
from pruners.parts import producers
from pruners.ranking import shares_below
from pruners.registries import ALLOCATORS
from spaces import Categorical, ChannelGroup, Domain, Float


@ALLOCATORS.register("clr", paper="arXiv:2202.07190")
@dataclass(frozen=True, slots=True, kw_only=True)
class CLR:
    """Cross-layer ranking: the share of a group's weights below one threshold on |w| / cost^exponent of all groups.

    Source: Lin et al., Pruning Networks with Cross-Layer Ranking and k-Reciprocal Nearest Filters, arXiv:2202.07190
    (CLR half), with the numbers of the authors' code. Faithful: pooled ranking, strict comparison, the share becomes
    the removed fraction. Ours: `spread` in place of the exponent, exponent = ln(spread) / ln(dearest / cheapest),
    because exponents can't be compared between networks (published: VGG-16 4.3, ResNet-56 58, ResNet-110 7.6,
    ResNet-50 1.7); `pr` is solved from the budget; a pool with several layers costs their mean, so that a group of
    equal layers is treated like any one of them.

    Attributes:
        spread: largest ratio between two groups' divisors; 1 is plain global magnitude.
        cost_basis: what a layer costs: operations as the authors count them, parameters, or nothing at all.
        level: whose cost divides: the layer's own, that of its block (all layers inside the same module, downsampling
            included; in a network without blocks, of the same stage), or the mean over its stage.
        pr: fraction of all pooled weights below the threshold.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "spread": Float(low=1.0, high=60.0, log=True),
        "cost_basis": Categorical(choices=("flops", "params", "none")),
        "level": Categorical(choices=("layer", "block", "stage")),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "pr solved from the budget; spread in the place of lambda, to compare networks"
    scalar: ClassVar[str | None] = "pr"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    spread: float = 4.0
    cost_basis: str = "flops"
    level: str = "layer"
    pr: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.pr <= 1 or self.spread < 1:
            raise ValueError(f"needs 0 <= pr <= 1 and spread >= 1, got {self.pr} and {self.spread}")

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        pools = [_sorted_magnitudes(group, evidence) for group in groups]
        costs = self._costs(groups, evidence)
        return removed_shares(pools, costs, pr=self.pr, exponent=exponent_for(costs, self.spread))

    def _costs(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        if self.cost_basis == "none":
            return np.ones(len(groups))
        key = f"clr costs of {len(groups)} groups, {self.cost_basis}, {self.level}"
        compute = lambda: group_costs(groups, evidence, basis=self.cost_basis, level=self.level)  # noqa: E731
        costs: FloatArray = evidence.derived(None, key, compute)
        return costs


def removed_shares(
    pools: Sequence[npt.NDArray[np.floating]], costs: FloatArray, *, pr: float, exponent: float
) -> FloatArray:
    """Steps 3 to 5 of cross-layer ranking.

    Args:
        pools: absolute weights of each pool, sorted in ascending order.
        costs: positive cost of each pool, shape (num_pools,); only their ratios matter.
        pr: fraction of all weights below the threshold.
        exponent: lambda; 0 is plain global magnitude.

    Returns:
        Share of each pool strictly below the threshold, shape (num_pools,).
    """
    num_kept = math.floor(sum(len(pool) for pool in pools) * (1 - pr) + 1e-6)
    return shares_below(pools, (costs / costs.max()) ** exponent, num_kept=num_kept)


def exponent_for(costs: FloatArray, spread: float) -> float:
    """The exponent that makes the largest ratio between two divisors `spread`; 0 where all costs are equal."""
    ratio = float(costs.max() / costs.min())
    return math.log(spread) / math.log(ratio) if ratio > 1 + 1e-9 else 0.0


def group_costs(groups: Sequence[ChannelGroup], evidence: Evidence, *, basis: str, level: str) -> FloatArray:
    """Cost of each group's pool, shape (num_groups,): the mean over the layers that compute its channels."""
    layers = evidence.cost.layers(evidence.cost.dense)
    cost = {layer.name: _operations(layer, evidence) if basis == "flops" else float(layer.params) for layer in layers}
    names = [producers(group) for group in groups]
    own = [[cost[name] for name in produced] for produced in names]
    if level == "block":
        block_of = _blocks(groups, names, tuple(cost))
        totals: dict[Any, float] = defaultdict(float)
        for name, value in cost.items():
            totals[block_of(name)] += value
        own = [[totals[block_of(name)] for name in produced] for produced in names]
    means = np.array([np.mean(values) for values in own])
    if level == "stage":
        stages = [group.stage for group in groups]
        means = np.array([np.mean([m for m, s in zip(means, stages, strict=True) if s == stage]) for stage in stages])
    costs: FloatArray = np.maximum(means, 1.0)
    return costs


def _operations(layer: LayerCost, evidence: Evidence) -> float:
    """What the authors count: multiply-adds, and for each output 4 for batch norm and ReLU and 1 for a bias."""
    weight = evidence.tensors.get(f"{layer.name}.weight")
    if weight is None or weight.dim() < 2:
        return float(layer.macs)
    per_output = 4 + (f"{layer.name}.bias" in evidence.tensors)
    return layer.macs * (1 + per_output / weight[0].numel())


def _blocks(
    groups: Sequence[ChannelGroup], names: Sequence[Sequence[str]], layers: Sequence[str]
) -> Callable[[str], object]:
    """Layer name -> its block: the outermost module that has a layer as its child; one at the root is its own.

    So a block's downsampling counts with it. Where all layers have one parent, as in a flat VGG, those of one stage are
    a block.
    """
    stage_of = {name: group.stage for group, produced in zip(groups, names, strict=True) for name in produced}
    flat = len({name.rpartition(".")[0] for name in stage_of}) == 1
    if flat:
        return lambda name: stage_of.get(name, name)
    owners = {name.rpartition(".")[0] for name in layers} - {""}

    def block_of(name: str) -> str:
        parts = name.split(".")
        above = (".".join(parts[:depth]) for depth in range(1, len(parts)))
        return next((module for module in above if module in owners), name)

    return block_of


def _sorted_magnitudes(group: ChannelGroup, evidence: Evidence) -> npt.NDArray[np.floating]:
    """Absolute weights of the group's producers in ascending order, in the precision that they are stored in."""

    def compute() -> npt.NDArray[np.floating]:
        stored = evidence.tensors[group.with_role("producer")[0].tensor].dtype
        values = evidence.filters(group).abs().flatten()
        magnitudes: npt.NDArray[np.floating] = values.numpy() if stored.itemsize == 8 else values.float().numpy()
        return np.sort(magnitudes)

    found: npt.NDArray[np.floating] = evidence.derived(group, "sorted magnitudes", compute)
    return found
