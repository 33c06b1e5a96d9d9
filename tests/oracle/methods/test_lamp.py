"""The example of four weights, in ascending order 0.1, 0.1, 0.3, 0.5."""

import pytest

from pruners import METHODS
from tests.oracle.toy import filters


def test_four_filters_of_one_weight() -> None:
    group, evidence = filters([[0.5], [0.3], [0.1], [0.1]])
    expected = [1, 0.264706, 0.027778, 0.028571]
    assert METHODS.build("lamp").score(group, evidence).tolist() == pytest.approx(expected, abs=1e-6)
