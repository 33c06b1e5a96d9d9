"""Six channels between two layers: sums, percentiles, weak sets and the order of pruning worked out by hand."""

import numpy as np
import pytest

from pruners import METHODS
from pruners.weak import backward_sums, forward_sums, strength, weak_channels
from tests.oracle.toy import filters

ROWS = [[0.6, -0.4], [0.1, 0.1], [-0.3, 0.3], [0.2, -0.2], [0.5, 0.4], [0.1, -0.2]]
READERS = [[0.25, 0.05, -0.1, 0.4, 0.5, 0.1], [0.25, -0.05, 0.1, -0.4, 0.4, 0.2]]
FORWARD, BACKWARD = [1.0, 0.2, 0.6, 0.4, 0.9, 0.3], [0.5, 0.1, 0.2, 0.8, 0.9, 0.3]


def test_sums() -> None:
    group, evidence = filters(ROWS, READERS)
    np.testing.assert_allclose(forward_sums(group, evidence, "l1"), [FORWARD])
    np.testing.assert_allclose(backward_sums(group, evidence, "l1"), [BACKWARD])
    np.testing.assert_allclose(forward_sums(group, evidence, "l2sq")[0, :2], [0.52, 0.02])


@pytest.mark.parametrize(("percentile", "weak"), [(30, [1]), (50, [1, 5]), (70, [1, 2, 5]), (90, [1, 2, 3, 5])])
def test_weak_sets(percentile: float, weak: list[int]) -> None:
    assert weak_channels(np.array([FORWARD]), np.array([BACKWARD]), percentile).tolist() == weak


def test_order_of_pruning() -> None:
    group, evidence = filters(ROWS, READERS)
    score = METHODS.build("wsp").score(group, evidence)
    assert score.argsort().tolist() == [1, 5, 2, 3, 0, 4]


@pytest.mark.parametrize(
    ("side", "order"),
    [
        ("forward", [1, 5, 3, 2, 4, 0]),
        ("backward", [1, 2, 5, 0, 3, 4]),
        ("union", [1, 5, 2, 3, 0, 4]),
        ("product", [1, 5, 2, 3, 0, 4]),
    ],
)
def test_other_sides(side: str, order: list[int]) -> None:
    score = strength(np.array([FORWARD]), np.array([BACKWARD]), side=side)
    assert score.argsort().tolist() == order


def test_a_blend_lies_between_the_sides() -> None:
    for weight, side in ((1.0, "forward"), (0.0, "backward")):
        blended = strength(np.array([FORWARD]), np.array([BACKWARD]), side="blend", weight_forward=weight)
        assert blended.equal(strength(np.array([FORWARD]), np.array([BACKWARD]), side=side))


def test_coupled_layers_all_have_to_be_weak() -> None:
    forward = np.array([[1.0, 2, 3, 4], [4.0, 1, 2, 3]])
    assert weak_channels(forward, np.array([[1.0, 2, 3, 4]]), 60).tolist() == [1]
    assert strength(forward, np.array([[1.0, 2, 3, 4]]), side="intersection").argsort().tolist() == [1, 2, 0, 3]
