"""Hand arithmetic on three channels and two samples."""

from pruners import METHODS
from tests.oracle.data import three_channels


def test_mask() -> None:
    # squared gradients of the masks: (9, 4, 0) and (0, 0, 16); half their mean
    group, evidence = three_channels()
    assert METHODS.build("fisher").score(group, evidence).tolist() == [9 / 4, 4 / 4, 16 / 4]


def test_batches_do_not_matter_for_masks() -> None:
    group, evidence = three_channels(num_batches=2)
    assert METHODS.build("fisher").score(group, evidence).tolist() == [9 / 4, 4 / 4, 16 / 4]


def test_weights() -> None:
    group, evidence = three_channels(num_batches=2)
    assert METHODS.build("fisher", {"form": "weights"}).score(group, evidence).tolist() == [9 / 4, 4 / 4, 16 / 4]
