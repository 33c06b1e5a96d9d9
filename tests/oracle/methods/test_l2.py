"""Hand arithmetic."""

from pruners import METHODS
from tests.oracle.toy import filters


def test_euclidean_norms() -> None:
    group, evidence = filters([[3, -4], [0, 1], [0, -6]])
    assert METHODS.build("l2").score(group, evidence).tolist() == [5, 1, 6]
