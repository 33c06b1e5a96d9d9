"""The published property: every channel is equally likely to stay."""

import numpy as np

from pruners import METHODS
from tests.oracle.toy import filters


def test_every_channel_is_first_equally_often() -> None:
    group, evidence = filters([[1.0]] * 4)
    first = [int(METHODS.build("random", {"seed": seed}).score(group, evidence).argmin()) for seed in range(1000)]
    counts = np.bincount(first, minlength=4)
    assert counts.min() > 200  # 250 expected, standard deviation 14


def test_a_seed_repeats_its_lot() -> None:
    group, evidence = filters([[1.0]] * 4)
    one, two = (METHODS.build("random", {"seed": 7}).score(group, evidence) for _ in range(2))
    assert one.equal(two)
