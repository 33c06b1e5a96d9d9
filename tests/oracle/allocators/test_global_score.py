"""Five channels in two groups, ranked by hand."""

import pytest

from pruners import ALLOCATORS
from tests.oracle.data import three_channels
from tests.oracle.toy import chain

# L1 norms 4, 1 and 3, 2.4, 10; a channel of the first group costs 1 + 3 MACs, of the second 2 + 2
LAYERS = [[4.0], [1.0]], [[3.0, 0], [2.4, 0], [10.0, 0]], [[1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize(
    ("normalise", "ratio", "expected"),
    [
        ("none", 0.0, [0, 0]),
        ("none", 0.2, [1 / 2, 0]),
        ("none", 0.4, [1 / 2, 1 / 3]),
        ("none", 0.8, [1, 2 / 3]),
        ("max", 0.4, [1 / 2, 1 / 3]),  # 1, 0.25 and 0.3, 0.24, 1
        ("max", 0.2, [0, 1 / 3]),
        ("mean", 0.2, [1 / 2, 0]),  # 1.6, 0.4 and 0.58, 0.47, 1.95
        ("l2", 0.2, [1 / 2, 0]),  # 1.37, 0.343 and 0.48, 0.386, 1.60
        ("none", 1.0, [1, 1]),
    ],
)
def test_lowest_of_all(normalise: str, ratio: float, expected: list[float]) -> None:
    _, analysis, evidence = chain(*LAYERS)
    allocator = ALLOCATORS.build("global_score", {"method": "l1", "normalise": normalise, "ratio": ratio})
    assert allocator.ratios(analysis.groups, evidence).tolist() == pytest.approx(expected)


def test_per_mac() -> None:
    # 4 outputs instead of 2: a channel of the second group costs 2 + 4, so that 2.4 / 6 = 0.4 and 3 / 6 = 0.5
    # against 1 / 4 and 4 / 4
    _, analysis, evidence = chain(*LAYERS[:2], [[1.0] * 3] * 4)
    params = {"method": "l1", "normalise": "none", "per_mac": True, "ratio": 0.6}
    assert ALLOCATORS.build("global_score", params).ratios(analysis.groups, evidence).tolist() == [1 / 2, 2 / 3]


def test_scores_from_data() -> None:
    group, evidence = three_channels()  # Fisher information 9/4, 1, 4
    params = {"method": "fisher", "ratio": 0.34}
    assert ALLOCATORS.build("global_score", params).ratios([group], evidence).tolist() == [1 / 3]
