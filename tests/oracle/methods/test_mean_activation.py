"""Hand arithmetic on three channels and two samples."""

from pruners import METHODS
from tests.oracle.data import three_channels


def test_mean_absolute_activation() -> None:
    group, evidence = three_channels()
    assert METHODS.build("mean_activation").score(group, evidence).tolist() == [0.5, 1, 1]
    assert evidence.activation(group).tolist() == [0.5, 1, 1]


def test_gradient_beside_it() -> None:
    group, evidence = three_channels(num_batches=2)
    assert evidence.activation_gradient(group).tolist() == [3, 1, 2]
