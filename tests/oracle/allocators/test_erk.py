"""Densities of two linear layers: (8 + 2) / 16 and (4 + 8) / 32."""

import pytest

from pruners import ALLOCATORS
from tests.oracle.toy import chain

LAYERS = [[1.0] * 2] * 8, [[1.0] * 8] * 4, [[1.0] * 4]


@pytest.mark.parametrize(
    ("exponent", "ratio", "expected"),
    [
        (1.0, 0.5, [1 - 0.5 * 0.625 / 0.375, 0.5]),
        (1.0, 0.2, [0.0, 0.2]),  # a density of 0.8 x 0.625 / 0.375 stops at 1
        (0.0, 0.5, [0.5, 0.5]),
        (0.5, 0.5, [1 - 0.5 * (0.625 / 0.375) ** 0.5, 0.5]),
    ],
)
def test_densities(exponent: float, ratio: float, expected: list[float]) -> None:
    _, analysis, evidence = chain(*LAYERS)
    erk = ALLOCATORS.build("erk", {"exponent": exponent, "ratio": ratio})
    assert erk.ratios(analysis.groups, evidence).tolist() == pytest.approx(expected)
