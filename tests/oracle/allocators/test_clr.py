"""Three layers whose thresholds, shares and counts are worked out by hand; published cost tables of two networks."""

import math

import numpy as np
import pytest
import torch

from evaluators.models.cifar_resnet import cifar_resnet
from pruners import ALLOCATORS, analyse, gather_evidence
from pruners.allocators.clr import exponent_for, group_costs, removed_shares
from pruners.budget import rounded_widths
from tests.oracle.toy import chain

W1 = [[0.91, -0.83], [0.71, 0.61], [-0.51, 0.41], [0.31, 0.21]]
W2 = [[0.86, 0.77, -0.66, 0.56], [0.46, 0.36, 0.26, -0.16], [0.96, 0.11, 0.06, 0.53], [0.63, -0.58, 0.43, 0.38]]
W3 = [[0.34, -0.32], [0.29, 0.27], [0.23, -0.19], [0.17, 0.13]]


@pytest.mark.parametrize(
    ("exponent", "pr", "shares", "kept"),
    [
        (0, 0.5, [0.25, 0.375, 1], [3, 2, 0]),
        (0.5, 0.5, [0.125, 0.625, 0.625], [3, 1, 1]),
        (1, 0.5, [0, 0.8125, 0.375], [4, 0, 2]),
        (0.5, 0.25, [0, 0.3125, 0.25], [4, 2, 3]),
        (0.5, 0.75, [0.25, 0.875, 1], [3, 0, 0]),
    ],
)
def test_shares_and_counts(exponent: float, pr: float, shares: list[float], kept: list[int]) -> None:
    pools = [np.sort(np.abs(np.array(weights)).ravel()) for weights in (W1, W2, W3)]
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
    wide = 32 * 32 * 16 * 16 * 9
    assert layer["layer1.0.conv1"] == layer["layer3.1.conv1"] == wide
    assert layer["layer2.0.conv1"] == wide / 2  # twice the filters on a quarter of the pixels
    assert block["layer1.0.conv1"] == 2 * wide
    assert block["layer2.0.conv1"] == 1.5 * wide
    assert stage["layer2.0.conv1"] == stage["layer2.1.conv1"] == stage["layer2.2.conv1"]
    assert wide / 2 < stage["layer2.0.conv1"] < wide


def test_the_published_spread_of_resnet56() -> None:
    """Blocks cost 1 (with the stem) to 0.66667; exponent 10 makes that 57.7."""
    costs = np.array([1.0, *[0.9052] * 8, 0.67278, *[0.89297] * 8, 0.66667, *[0.88685] * 8])
    assert exponent_for(costs, 57.7) == pytest.approx(10, abs=0.01)
    assert math.pow(costs.max() / costs.min(), 10) == pytest.approx(57.7, abs=0.1)
