"""Six points in the plane, temperature 1."""

import pytest

from pruners import METHODS
from tests.oracle.toy import SIX_FILTERS, filters


def test_mean_divergence_from_the_others() -> None:
    group, evidence = filters(SIX_FILTERS)
    score = METHODS.build("dcff").score(group, evidence)
    assert score.tolist() == pytest.approx([2.4881, 2.3731, 3.1694, 3.4290, 5.9397, 4.6152], abs=1e-4)
    assert score.argsort(descending=True).tolist() == [4, 5, 3, 2, 0, 1]
