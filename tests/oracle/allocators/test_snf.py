"""The price of a step by hand, and which groups take one."""

import math

import numpy as np
import pytest

from pruners import ALLOCATORS
from pruners.allocation import energy_loss
from tests.oracle.toy import chain, filters


def test_logarithm_of_what_is_left() -> None:
    group, evidence = filters([[2.0], [1.0], [math.sqrt(3)]])
    assert energy_loss(group, evidence).tolist() == pytest.approx([0, -math.log(7 / 8), -math.log(4 / 8)])


def test_weak_channels_go_before_equal_ones() -> None:
    weak = [[4.0]] * 8 + [[0.001]] * 8
    equal = [[1.0] * 16] * 16
    _, analysis, evidence = chain(weak, equal, [[1.0] * 16])
    path = [ALLOCATORS.build("snf", {"balance": 0.0, "ratio": r}).ratios(analysis.groups, evidence) for r in (0.2, 0.9)]
    assert path[0][0] > 0.3
    assert path[0][1] == 0
    assert (path[1] > path[0]).all()


def test_expensive_channels_go_first_where_all_are_equal() -> None:
    # a channel of the second group costs 16 + 64 MACs, of the first 1 + 16
    _, analysis, evidence = chain([[1.0]] * 16, [[1.0] * 16] * 16, [[1.0] * 16] * 64)
    cheap, expensive = ALLOCATORS.build("snf", {"balance": 1.0, "ratio": 0.4}).ratios(analysis.groups, evidence)
    assert expensive > cheap + 0.2
    alike = ALLOCATORS.build("snf", {"balance": 0.0, "ratio": 0.5}).ratios(analysis.groups, evidence)
    np.testing.assert_allclose(alike[0], alike[1], atol=0.07)
