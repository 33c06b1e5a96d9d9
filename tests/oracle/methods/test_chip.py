"""Nuclear norms by hand: two equal rows share one singular value."""

import math

import pytest
import torch

from pruners import METHODS
from pruners.maps import channel_independence
from tests.oracle.data import with_maps

ROWS = torch.tensor([[3.0, 0, 0], [0, 4, 0], [0, 4, 0]], dtype=torch.float64)
EXPECTED = [3, 4 * math.sqrt(2) - 4, 4 * math.sqrt(2) - 4]


def test_equal_rows_can_do_without_each_other() -> None:
    assert channel_independence(ROWS).tolist() == pytest.approx(EXPECTED)


def test_more_pixels_than_channels() -> None:
    wide = torch.cat([ROWS, torch.zeros(3, 5, dtype=torch.float64)], dim=1)
    assert channel_independence(wide).tolist() == pytest.approx(EXPECTED)


@pytest.mark.parametrize(("width", "pixels"), [(6, 4), (4, 9)])
def test_agrees_with_singular_values(width: int, pixels: int) -> None:
    rows = torch.randn(width, pixels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = []
    for index in range(width):
        masked = rows.clone()
        masked[index] = 0
        expected.append(float(torch.linalg.svdvals(rows).sum() - torch.linalg.svdvals(masked).sum()))
    assert channel_independence(rows).tolist() == pytest.approx(expected)


def test_through_a_network() -> None:
    group, evidence = with_maps(ROWS.float()[:, None, :])
    assert METHODS.build("chip").score(group, evidence).tolist() == pytest.approx(EXPECTED, rel=1e-5)
