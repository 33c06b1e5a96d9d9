"""Greedy removal followed by hand."""

import torch

from pruners import METHODS
from pruners.methods.thinet import removal_order
from tests.oracle.data import three_channels


def test_small_contributions_first_and_then_what_they_allow() -> None:
    rows = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [0.1, 0.0]], dtype=torch.float64)
    # 2 goes first (0.01); then 0 would add 2 + 0.2, 1 adds 2 - 0.2
    assert removal_order(rows @ rows.T).tolist() == [2, 1, 0]


def test_opposite_contributions_go_together() -> None:
    rows = torch.tensor([[2.0, 0.0], [0.0, 2.5], [-2.0, 0.0]], dtype=torch.float64)
    assert removal_order(rows @ rows.T).tolist() == [0, 2, 1]


def test_through_a_network() -> None:
    # contributions (3, -2, 0) and (0, 0, 4): 1 goes first (4), then 0 adds 9 - 12
    group, evidence = three_channels()
    assert METHODS.build("thinet").score(group, evidence).tolist() == [1, 0, 2]
