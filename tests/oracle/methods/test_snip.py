"""Hand arithmetic on three channels: |w x mean gradient|, however the samples are batched."""

import pytest

from pruners import METHODS
from tests.oracle.data import three_channels


@pytest.mark.parametrize("num_batches", [1, 2])
def test_sensitivity_of_the_mean_gradient(num_batches: int) -> None:
    group, evidence = three_channels(num_batches=num_batches)
    assert METHODS.build("snip").score(group, evidence).tolist() == [1.5, 1, 2]
