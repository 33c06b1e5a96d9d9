"""Three layers whose thresholds, shares and counts are worked out by hand; published cost tables of two networks."""

import math

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from evaluators.models.cifar_resnet import cifar_resnet
from pruners import ALLOCATORS, CostModel, Evidence, analyse, gather_evidence
from pruners.allocators.clr import exponent_for, group_costs, removed_shares
from pruners.budget import rounded_widths
from pruners.grouping import find_groups
from pruners.trace import trace
from pruners.tracer import named_tensors
from tests.oracle.toy import chain

W1 = [[0.91, -0.83], [0.71, 0.61], [-0.51, 0.41], [0.31, 0.21]]
W2 = [[0.86, 0.77, -0.66, 0.56], [0.46, 0.36, 0.26, -0.16], [0.96, 0.11, 0.06, 0.53], [0.63, -0.58, 0.43, 0.38]]
W3 = [[0.34, -0.32], [0.29, 0.27], [0.23, -0.19], [0.17, 0.13]]


@pytest.mark.parametrize(
    ("exponent", "pr", "threshold", "shares", "kept"),
    [
        (0, 0.5, 0.41, [0.25, 0.375, 1], [3, 2, 0]),
        (0.5, 0.5, 0.29, [0.125, 0.625, 0.625], [3, 1, 1]),
        (1, 0.5, 0.1925, [0, 0.8125, 0.375], [4, 0, 2]),
        (0.5, 0.25, 0.19, [0, 0.3125, 0.25], [4, 2, 3]),
        (0.5, 0.75, 0.41, [0.25, 0.875, 1], [3, 0, 0]),
    ],
)
def test_shares_and_counts(exponent: float, pr: float, threshold: float, shares: list[float], kept: list[int]) -> None:
    pools = [np.sort(np.abs(np.array(weights)).ravel()) for weights in (W1, W2, W3)]
    scores = [pool / cost**exponent for pool, cost in zip(pools, (1, 4, 1), strict=True)]
    assert [float((score < threshold - 1e-9).mean()) for score in scores] == shares
    found = removed_shares(pools, np.array([1.0, 4.0, 1.0]), pr=pr, exponent=exponent)
    assert found.tolist() == shares
    assert np.floor(4 * (1 - found) + 1e-6).tolist() == kept


def test_no_basis_is_global_magnitude() -> None:
    _, analysis, evidence = chain(W1, W2, np.transpose(W3).tolist(), [[1.0] * 2])
    allocator = ALLOCATORS.build("clr", {"cost_basis": "none", "pr": 0.5})
    ratios = allocator.ratios(analysis.groups, evidence)
    assert ratios.tolist() == [0.25, 0.375, 1]
    assert ALLOCATORS.build("clr", {"spread": 1.0, "pr": 0.5}).ratios(analysis.groups, evidence).tolist() == [*ratios]


def test_clamped_to_one_channel() -> None:
    _, analysis, _ = chain(W1, W2, [[1.0] * 4])
    assert rounded_widths(np.array([0.25, 1.0]), analysis.groups).tolist() == [3, 1]


def test_exponent_for_a_spread() -> None:
    assert exponent_for(np.array([1.0, 4.0, 1.0]), 2.0) == pytest.approx(0.5)
    assert exponent_for(np.ones(3), 60.0) == 0


def test_cost_of_blocks_and_stages() -> None:
    model = cifar_resnet(num_classes=10, depth=20).eval()
    analysis = analyse(model, torch.zeros(1, 3, 32, 32))
    evidence = gather_evidence(model, analysis)
    names = [group.name for group in analysis.groups]
    layer, block, stage = (
        dict(zip(names, group_costs(analysis.groups, evidence, basis="flops", level=level), strict=True))
        for level in ("layer", "block", "stage")
    )
    wide, half = 32 * 32 * 16 * (16 * 9 + 4), 16 * 16 * 32 * (16 * 9 + 4)
    deep = 16 * 16 * 32 * (32 * 9 + 4)
    assert layer["layer1.0.conv1"] == wide
    assert layer["layer2.0.conv1"] == half  # twice the filters on a quarter of the pixels
    assert block["layer1.0.conv1"] == 2 * wide
    assert block["layer2.0.conv1"] == half + deep
    assert stage["layer2.0.conv1"] == stage["layer2.1.conv1"] == stage["layer2.2.conv1"]
    assert half < stage["layer2.0.conv1"] < deep


def test_the_published_spread_of_resnet56() -> None:
    """Blocks cost 1 (with the stem) to 0.66667; exponent 10 makes that 57.7."""
    costs = np.array([1.0, *[0.9052] * 8, 0.67278, *[0.89297] * 8, 0.66667, *[0.88685] * 8])
    assert exponent_for(costs, 57.7) == pytest.approx(10, abs=0.01)
    assert math.pow(costs.max() / costs.min(), 10) == pytest.approx(57.7, abs=0.1)


def vgg16() -> nn.Sequential:
    """The authors' network for images of 32 x 32, its convolutions with biases."""
    layers: list[nn.Module] = []
    width = 3
    for item in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        if item == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(width, item, 3, padding=1), nn.BatchNorm2d(item), nn.ReLU()]
            width = item
    return nn.Sequential(*layers, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(512, 10)).eval()


def costs_of(model: nn.Module, size: int, *, level: str) -> dict[str, float]:
    found = find_groups(record := trace(model, torch.zeros(1, 3, size, size)))
    evidence = Evidence(tensors=dict(named_tensors(model)), cost=CostModel(record, found))
    costs = group_costs(found.groups, evidence, basis="flops", level=level)
    return {group.name: float(cost) for group, cost in zip(found.groups, costs, strict=True)}


def test_the_published_costs_of_vgg16() -> None:
    found = np.array(list(costs_of(vgg16(), 32, level="layer").values()))
    middle = [18.03906, 18.03906, 9.01953, 18.01953, 18.01953]
    expected = [1, 18.15625, 9.07812, 18.07812, 9.03906, *middle, 4.50488, 4.50488, 4.50488]
    np.testing.assert_allclose(found / found[0], expected, atol=1e-5)
    assert (found.max() / found.min()) ** 0.5 == pytest.approx(4.26, abs=0.005)


def test_the_published_costs_of_resnet56() -> None:
    """The authors add the stem to the first block; the others are relative to both."""
    found = costs_of(cifar_resnet(num_classes=10, depth=56).eval(), 32, level="block")
    first = found["layer1.0.conv1"] + 32 * 32 * 16 * (27 + 4)
    inside = [found[f"layer{stage}.{block}.conv1"] / first for stage in (1, 2, 3) for block in range(9)]
    expected = [0.9052] * 9 + [0.67278, *[0.89297] * 8, 0.66667, *[0.88685] * 8]
    np.testing.assert_allclose(inside, expected, atol=1e-5)


def test_the_published_costs_of_resnet50() -> None:
    """The table that the code has and does not use; as above. Ratios are the same for smaller images."""
    found = costs_of(torchvision.models.resnet50(weights=None).eval(), 64, level="block")
    first = found["layer1.0.conv1"] + 32 * 32 * 64 * (147 + 4)
    sizes = {1: 3, 2: 4, 3: 6, 4: 3}
    inside = [found[f"layer{stage}.{block}.conv1"] / first for stage, size in sizes.items() for block in range(size)]
    expected = [0.61915, 0.61915, 1.04788, *[0.61247] * 3, 1.04065, *[0.60913] * 5, 1.03703, 0.60746, 0.60746]
    np.testing.assert_allclose(inside[1:], expected, atol=1e-5)
