"""Filters that rely on similar inputs form a group, and a group reads only the inputs that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

from torch import Tensor, nn

from pruners import figures
from pruners.connections import (
    Connections,
    cut_connections,
    group_filters,
    input_importance,
    keep_strongest,
    normalised_rows,
    num_strongest,
)
from pruners.evidence import Evidence
from pruners.grouped import Layer, grouped, replace_layers
from pruners.plan import Plan
from pruners.registries import STEPS
from pruners.rewrite import cut_tensors
from spaces import Categorical, ChannelGroup, Domain, Float, Integer, UserError

LEFT_DENSE = ("downsample", "shortcut")
"""Name parts of layers that stay dense, as published."""

FEWEST_INPUTS = 5
"""A layer of the dense network with fewer input channels reads the image and stays dense, as published."""


@STEPS.register("regroup", paper="arXiv:2009.13803")
@dataclass(frozen=True, slots=True, kw_only=True)
class Regroup:
    """Self-grouping: cluster a layer's filters by the inputs that they rely on, then cut whole groups' connections.

    Source: Guo et al., Self-grouping Convolutional Neural Networks, arXiv:2009.13803, as the authors' code computes it:
    k-means of kernel norms, the centroids' percentile as the layer's threshold, stem and shortcuts left dense, a lower
    limit for linear layers. Ours: the result is really smaller, a gather and grouped convolutions (the code multiplies
    by a mask); `cp` is solved from the budget; `equalise` and `taylor`; k-means++ starts, four of them, in place of ten
    random ones; one cut here, while `evaluators.regrouping` has the schedule of several with training between.

    Attributes:
        num_groups: clusters per layer.
        importance: L1 or L2 norm of a filter's kernel for an input, or by how much the loss changes, to first order,
            if the kernel were zero; layers outside all groups have no gradients and take L1 then.
        row_norm: divide each filter's norms by their sum.
        equalise: equally many filters in every group and equally many inputs: one grouped convolution per layer.
        fc_cap: linear layers lose at most this percentage.
        share: how much of the reduction this step does, the rest being done by cutting channels before it: channels are
            cut to budget^(1 - share), as a fraction of the dense MACs.
        seed: of the clustering.
        cp: percentage of connections cut in each layer.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "num_groups": Integer(low=2, high=64, log=True),
        "importance": Categorical(choices=("l1", "l2", "taylor")),
        "row_norm": Categorical(choices=(False, True)),
        "equalise": Categorical(choices=(False, True)),
        "fc_cap": Float(low=0.0, high=90.0),
        "share": Float(low=0.1, high=0.9),
    }
    needs: ClassVar[frozenset[str]] = frozenset({"connections"})
    fidelity: ClassVar[str] = (
        "built as gather and grouped convolution where the authors mask; cp solved from the budget"
    )
    scalar: ClassVar[str | None] = "cp"
    scalar_range: ClassVar[tuple[float, float]] = (0.0, 98.0)

    num_groups: int = 16
    importance: str = "l1"
    row_norm: bool = False
    equalise: bool = False
    fc_cap: float = 60.0
    share: float = 0.5
    seed: int = 0
    cp: float = 50.0

    def __post_init__(self) -> None:
        if not (0 <= self.cp <= 100 and 0 <= self.fc_cap <= 100 and 0 <= self.share <= 1):
            raise ValueError(f"needs cp and fc_cap in [0, 100] and share in [0, 1], got {self}")

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        return self.prepare(model, groups=groups, plan=plan, dense=dense, evidence=evidence).network(self.cp)

    def prepare(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> "Regrouping":
        """The filters' groups, which do not depend on `cp`; arguments as in `apply`, `model` is not changed yet."""
        costs = evidence.cost.layers(plan.counts(groups))
        names = [name for name, layer in regroupable(dense).items() if _wide(model.get_submodule(name))]
        taylor = cut_tensors(self._taylor(names, evidence), groups, plan)
        return Regrouping(
            model=model,
            layers={name: self.clustered(_layer(model, name), taylor=taylor.get(f"{name}.weight")) for name in names},
            step=self,
            macs_before=sum(cost.macs for cost in costs),
            macs_of_layer={cost.name: cost.macs for cost in costs},
        )

    def clustered(self, layer: Layer, *, taylor: Tensor | None = None) -> "Clustered":
        """A layer's filters in groups; `taylor` (n, c) is what `importance` of that name looks at."""
        if taylor is None:
            importance = input_importance(layer.weight, kind="l2" if self.importance == "l2" else "l1")
        else:
            importance = taylor.double()
        importance = normalised_rows(importance) if self.row_norm else importance
        labels = group_filters(importance, num_groups=self.num_groups, seed=self.seed, equalise=self.equalise)
        return Clustered(
            importance=importance,
            labels=labels,
            is_linear=isinstance(layer, nn.Linear),
            connections=Connections.of(importance, labels),
        )

    def mask(self, layer: "Clustered", percentile: float, *, mask: Tensor | None = None) -> Tensor:
        """Connections (n, c) of a layer that stay at a percentage, out of those in `mask`."""
        percentile = self._capped(layer, percentile)
        if self.equalise:
            kept = keep_strongest(layer.importance, layer.labels, percentile=percentile)
            return kept if mask is None else kept & mask
        if mask is None:
            return layer.connections.kept(percentile)
        return cut_connections(layer.importance, layer.labels, percentile=percentile, mask=mask)

    def num_kept(self, layer: "Clustered", percentile: float) -> int:
        """How many connections `mask` leaves, without making it."""
        percentile = self._capped(layer, percentile)
        if self.equalise:
            return len(layer.labels) * num_strongest(layer.importance.size(1), percentile)
        return layer.connections.num_kept(percentile)

    def _taylor(self, names: Sequence[str], evidence: Evidence) -> dict[str, Tensor]:
        """Importance (n, c) by the names of weights of the dense network; empty where it is that of the weights."""
        if self.importance != "taylor":
            return {}
        if "connections" not in evidence.kinds:
            raise UserError("needs", "connections", "was not gathered: importance taylor looks at gradients of kernels")
        known = {name: evidence.figures.get((name, figures.KERNEL_TAYLOR)) for name in names}
        return {f"{name}.weight": figure for name, figure in known.items() if figure is not None}

    def _capped(self, layer: "Clustered", percentile: float) -> float:
        return min(percentile, self.fc_cap) if layer.is_linear else percentile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clustered:
    """A layer's importance of inputs (n, c), the group of each filter (n,), and what can be cut of it."""

    importance: Tensor
    labels: Tensor
    is_linear: bool
    connections: Connections


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regrouping:
    """A network whose filters are clustered and whose connections can be cut to any percentage."""

    model: nn.Module
    layers: Mapping[str, Clustered]
    step: Regroup
    macs_before: int
    macs_of_layer: Mapping[str, int]

    def macs(self, percentage: float) -> int:
        """MACs of `network(percentage)`, without building it; falls as the percentage rises."""
        cut = 0
        for name, layer in self.layers.items():
            gone = layer.importance.numel() - self.step.num_kept(layer, percentage)
            cut += gone * self.macs_of_layer.get(name, 0) // layer.importance.numel()
        return self.macs_before - cut

    def network(self, percentage: float) -> nn.Module:
        """The network with grouped layers in place of those that lose something; `model` itself is changed."""
        masks = {name: self.step.mask(layer, percentage) for name, layer in self.layers.items()}
        return replace_masked(self.model, masks)


def replace_masked(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """Layers by name with only the connections of their masks (n, c), in place; full masks change nothing."""
    cut = {name: mask for name, mask in masks.items() if not bool(mask.all())}
    return replace_layers(model, {name: grouped(_layer(model, name), mask) for name, mask in cut.items()})


def regroupable(model: nn.Module) -> dict[str, Layer]:
    """Convolutions of one group and linear layers, by name, except those that stay dense."""
    found: dict[str, Layer] = {}
    for name, module in model.named_modules():
        shortcut = any(part in LEFT_DENSE for part in name.split("."))
        if not shortcut and _plain(module) and module.weight.size(1) >= FEWEST_INPUTS:
            found[name] = module
    return found


def _plain(module: nn.Module) -> TypeGuard[Layer]:
    # Subclasses may do something else with their weight; attention does.
    return type(module) is nn.Linear or (type(module) is nn.Conv2d and module.groups == 1)


def _wide(module: nn.Module) -> bool:
    """Whether there is something to group after the cut of channels."""
    return _plain(module) and min(module.weight.shape[:2]) > 1


def _layer(model: nn.Module, name: str) -> Layer:
    layer = model.get_submodule(name)
    assert isinstance(layer, Layer)
    return layer
