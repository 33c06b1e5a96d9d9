"""Maps whose rank can be seen."""

import pytest
import torch

from pruners import METHODS
from tests.oracle.data import with_maps


def test_rank_of_each_map() -> None:
    two = torch.zeros(4, 4)
    two[0], two[1, 2] = 1.0, 5.0
    group, evidence = with_maps(torch.stack([torch.eye(4), torch.ones(4, 4), two, torch.zeros(4, 4)]))
    assert METHODS.build("hrank").score(group, evidence).tolist() == pytest.approx([4, 1, 2, 0], abs=1e-5)


def test_equal_ranks_are_told_apart_by_the_mean() -> None:
    group, evidence = with_maps(torch.stack([torch.ones(2, 2), 3 * torch.ones(2, 2)]))
    low, high = METHODS.build("hrank").score(group, evidence).tolist()
    assert low < high < low + 1e-5
