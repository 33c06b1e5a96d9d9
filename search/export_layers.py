"""What each layer of a network costs before and after."""

from torch import Tensor, nn

from pruners import Analysis, CostModel, LayerCost, Plan
from pruners.grouping import find_groups
from pruners.trace import trace
from search.report import GroupWidth, LayerChange


def group_widths(analysis: Analysis, plan: Plan) -> tuple[GroupWidth, ...]:
    """Channels of each group before and after the cut; what a step does afterwards shows in the layers."""
    kept = plan.counts(analysis.groups).tolist()
    return tuple(
        GroupWidth(name=group.name, stage=group.stage, dense=group.width, kept=count)
        for group, count in zip(analysis.groups, kept, strict=True)
    )


def layer_changes(dense: Analysis, pruned: nn.Module, example: Tensor) -> tuple[LayerChange, ...]:
    """Cost of each layer before and after, in the order of the forward pass.

    Args:
        dense: the network before.
        pruned: the network after, as built: a step may have left layers out or put others in their place.
        example: (1, C, H, W).
    """
    record = trace(pruned, example)
    cost = CostModel(record, find_groups(record))
    before = {layer.name: layer for layer in dense.cost.layers(dense.cost.dense)}
    after = {layer.name: layer for layer in cost.layers(cost.dense)}
    names = [*before, *(name for name in after if name not in before)]
    return tuple(_change(name, before.get(name), after.get(name)) for name in names)


def _change(name: str, before: LayerCost | None, after: LayerCost | None) -> LayerChange:
    present = before or after
    assert present is not None
    return LayerChange(
        name=name,
        kind=present.kind,
        dense_macs=before.macs if before else 0,
        macs=after.macs if after else 0,
        dense_params=before.params if before else 0,
        params=after.params if after else 0,
    )
