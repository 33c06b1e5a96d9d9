"""Hand arithmetic."""

from pruners import METHODS
from tests.oracle.toy import filters


def test_sums_of_absolute_weights() -> None:
    group, evidence = filters([[3, -4], [1, 1], [0, -6]])
    assert METHODS.build("l1").score(group, evidence).tolist() == [7, 2, 6]
