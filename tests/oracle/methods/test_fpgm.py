"""Six points in the plane: sums of distances and pruning order worked out by hand."""

import pytest

from pruners import METHODS
from tests.oracle.toy import SIX_FILTERS, filters


def test_sums_of_distances() -> None:
    group, evidence = filters(SIX_FILTERS)
    score = METHODS.build("fpgm").score(group, evidence)
    expected = [18.92406, 17.83890, 20.98395, 22.07127, 35.36876, 29.60328]
    assert score.tolist() == pytest.approx(expected, abs=1e-5)
    assert score.argsort().tolist() == [1, 0, 2, 3, 5, 4]


def test_cosine_ignores_length() -> None:
    group, evidence = filters([[1, 0], [5, 0], [0, 2]])
    assert METHODS.build("fpgm", {"metric": "cosine"}).score(group, evidence).tolist() == pytest.approx([1, 1, 2])
