"""Three groups at depth -1, 0 and 1."""

import math

import pytest

from pruners import ALLOCATORS
from tests.oracle.toy import chain

LAYERS = [[1.0]] * 2, [[1.0] * 2] * 2, [[1.0] * 2] * 2, [[1.0] * 2]


@pytest.mark.parametrize(
    ("params", "logarithms"),
    [
        ({"tilt": 0.0}, [0, 0, 0]),
        ({"tilt": 1.0}, [-1, 0, 1]),
        ({"tilt": 0.0, "bend": 0.5}, [0.5, 0, 0.5]),
        ({"tilt": 0.5, "bend": -1.0, "residual": 1.0}, [-1.5, 0, -0.5]),  # no group has two producers
    ],
)
def test_kept_share_is_a_power(params: dict[str, float], logarithms: list[float]) -> None:
    _, analysis, evidence = chain(*LAYERS)
    found = ALLOCATORS.build("depth_curve", {**params, "ratio": 0.36}).ratios(analysis.groups, evidence)
    assert found.tolist() == pytest.approx([1 - 0.64 ** math.exp(s) for s in logarithms])
