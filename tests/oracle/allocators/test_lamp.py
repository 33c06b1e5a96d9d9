"""Two layers whose LAMP scores are 0.0278, 0.0286, 0.2647, 1 and six zeros, 0.36, 1."""

import pytest
import torch

from pruners import ALLOCATORS
from pruners.allocators.lamp import SAMPLE, _scores
from pruners.methods.lamp import lamp_scores
from tests.oracle.toy import chain

LAYERS = [[0.5], [0.3], [0.1], [0.1]], [[3.0, 0, 0, 0], [4.0, 0, 0, 0]], [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.0, [0, 0]), (0.3, [0, 0]), (0.7, [0.5, 0.75]), (0.77, [0.75, 0.75]), (0.9, [0.75, 0.875]), (1.0, [1, 1])],
)
def test_share_below_the_threshold(ratio: float, expected: list[float]) -> None:
    # of 12 weights in ascending order: six zeros (equal, so they stay until the threshold is above them, at 6/12), two
    # of the first layer until 8/12, a third until 9/12, one of the second until 10/12
    _, analysis, evidence = chain(*LAYERS)
    found = ALLOCATORS.build("lamp", {"ratio": ratio}).ratios(analysis.groups, evidence)
    assert found.tolist() == pytest.approx(expected)


def test_large_groups_are_represented_by_a_sample() -> None:
    weights = torch.randn(4 * SAMPLE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact, sampled = lamp_scores(weights.square()).sort().values, _scores(weights)
    for place in (0.1, 0.5, 0.9):
        at = float(exact[int(place * len(exact))])
        assert float(sampled[int(place * len(sampled))]) == pytest.approx(at, rel=0.05)
