"""A regrouped layer answers like the masked one, costs what it says, and survives being written down."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pruners import count, count_macs
from pruners.connections import cut_connections, group_filters, input_importance
from pruners.grouped import GroupedLayer, describe, grouped, rebuild
from pruners.kmeans import balanced, cluster


def layer_of(seed: int, *, linear: bool, bias: bool) -> nn.Conv2d | nn.Linear:
    torch.manual_seed(seed)
    outputs, inputs = int(torch.randint(2, 14, ())), int(torch.randint(2, 14, ()))
    if linear:
        return nn.Linear(inputs, outputs, bias=bias)
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, dilation=2, bias=bias)


def example(layer: nn.Conv2d | nn.Linear) -> Tensor:
    return (
        torch.randn(2, 4, layer.in_features)
        if isinstance(layer, nn.Linear)
        else torch.randn(2, layer.in_channels, 9, 7)
    )


def masked_output(layer: nn.Conv2d | nn.Linear, mask: Tensor, x: Tensor) -> Tensor:
    wide = mask.reshape(*mask.shape, *[1] * (layer.weight.dim() - 2))
    return torch.func.functional_call(layer, {"weight": layer.weight * wide}, (x,))


@given(seed=st.integers(0, 9999), linear=st.booleans(), bias=st.booleans(), density=st.floats(0.05, 1))
@settings(max_examples=60, deadline=None)
def test_any_mask_is_built_as_it_is(seed: int, linear: bool, bias: bool, density: float) -> None:
    layer = layer_of(seed, linear=linear, bias=bias)
    rows = torch.rand(3, layer.weight.size(1)) < density  # few different rows, so that filters share them
    mask = rows[torch.randint(3, (layer.weight.size(0),))]
    mask[0, 0] = True
    built, x = grouped(layer, mask), example(layer)
    torch.testing.assert_close(built(x), masked_output(layer, mask, x), atol=1e-5, rtol=0)
    dense_macs = count_macs(layer, x)
    assert count_macs(built, x) == dense_macs * int(mask.sum()) // mask.numel()
    counts = count(built, x[:1])
    assert counts.thop_macs == counts.macs


@given(seed=st.integers(0, 9999), linear=st.booleans(), num_groups=st.integers(2, 6))
@settings(max_examples=40, deadline=None)
def test_cuts_are_cumulative(seed: int, linear: bool, num_groups: int) -> None:
    layer = layer_of(seed, linear=linear, bias=False)
    mask = torch.ones(layer.weight.shape[:2], dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    for percentile in (10, 30, 50, 70, 90):
        importance = input_importance(layer.weight) * mask
        labels = group_filters(importance, num_groups=num_groups)
        after = cut_connections(importance, labels, percentile=percentile, mask=mask)
        assert not (after & ~mask).any()
        assert after.any()
        if int(after.sum()) > len(after):  # a single centroid may be all that is left
            assert float((~after).double().mean()) >= percentile / 100 - 1 / mask.numel()
        mask = after
        with torch.no_grad():  # retraining moves weights
            layer.weight.add_(0.05 * torch.randn(layer.weight.shape, generator=generator))


@given(seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_written_down_and_rebuilt(seed: int) -> None:
    model = nn.Sequential(layer_of(seed, linear=False, bias=True), nn.ReLU())
    original = model[0]
    x = torch.randn(2, original.in_channels, 9, 7)
    mask = torch.rand(original.weight.shape[:2]) < 0.4
    mask[0, 0] = True
    model[0] = grouped(original, mask)
    structure = json.loads(json.dumps(describe(model)))
    fresh = rebuild(nn.Sequential(layer_of(seed + 1, linear=False, bias=True), nn.ReLU()), structure)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))
    assert describe(fresh) == structure


@pytest.mark.parametrize("linear", [False, True])
def test_exports(linear: bool) -> None:
    layer = layer_of(3, linear=linear, bias=True)
    mask = torch.rand(layer.weight.shape[:2], generator=torch.Generator().manual_seed(0)) < 0.4
    mask[1] = False
    model, x = nn.Sequential(grouped(layer, mask)).eval(), example(layer)
    assert isinstance(model[0], GroupedLayer)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    other = torch.cat([x, x + 1])
    torch.testing.assert_close(exported.module()(other), model(other))


@given(seed=st.integers(0, 999), num_clusters=st.integers(1, 12), num_points=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_clusters_are_repeatable_and_whole(seed: int, num_clusters: int, num_points: int) -> None:
    points = torch.randint(3, (num_points, 2), generator=torch.Generator().manual_seed(seed)).double()
    labels, centres = cluster(points, num_clusters=num_clusters, seed=seed)
    again, _ = cluster(points, num_clusters=num_clusters, seed=seed)
    assert labels.equal(again)
    assert len(centres) == int(labels.max()) + 1 <= min(num_clusters, num_points)
    nearest = torch.cdist(points, centres).min(dim=1).values
    own = (points - centres[labels]).norm(dim=1)
    torch.testing.assert_close(own, nearest, atol=1e-6, rtol=0)


def test_balanced_clusters() -> None:
    points = torch.tensor([[0.0], [0.1], [0.2], [0.3], [5.0], [6.0]])
    assert balanced(points, torch.tensor([[0.0], [6.0]])).tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="evenly"):
        balanced(points, torch.zeros(4, 1))
