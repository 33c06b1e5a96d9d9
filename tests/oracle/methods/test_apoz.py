"""Shares of zeros counted by hand."""

import pytest
import torch

from pruners import METHODS
from tests.oracle.data import three_channels, with_maps


def test_share_of_what_is_not_zero() -> None:
    image = torch.tensor([[[1.0, 0], [0, 0]], [[1, 2], [0, 0]], [[1, 2], [3, 0]]])
    group, evidence = with_maps(image)
    assert METHODS.build("apoz").score(group, evidence).tolist() == pytest.approx([0.25, 0.5, 0.75], abs=1e-8)


def test_equal_shares_are_told_apart_by_the_mean() -> None:
    group, evidence = three_channels()  # each channel is zero on one of two samples; means 0.5, 1, 1
    assert METHODS.build("apoz").score(group, evidence).argmin() == 0
