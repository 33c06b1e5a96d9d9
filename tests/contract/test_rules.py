"""What a user may ask of the groups."""

import pytest
import torch
from torch import nn

from pruners import GroupRules, analyse
from spaces import UserError
from tests.contract.small_networks import block, head


def widths(rules: GroupRules) -> dict[str, tuple[int, int, int]]:
    model = nn.Sequential(block(3, 16), block(16, 24), block(24, 20), head(20)).eval()
    groups = analyse(model, torch.randn(1, 3, 8, 8), rules=rules).groups
    return {group.name: (group.multiple_of, group.min_keep, group.max_keep) for group in groups}


def test_without_rules_every_width_is_free() -> None:
    assert widths(GroupRules()) == {"0.0": (1, 1, 16), "1.0": (1, 1, 24), "2.0": (1, 1, 20)}


def test_a_multiple_holds_where_the_dense_width_is_one() -> None:
    assert widths(GroupRules(multiple_of=8, min_keep=3)) == {"0.0": (8, 8, 16), "1.0": (8, 8, 24), "2.0": (1, 3, 20)}


def test_the_last_pattern_that_fits_counts() -> None:
    found = widths(GroupRules(multiple_of=8, multiples={"*": 4, "1.*": 6}))
    assert found == {"0.0": (4, 4, 16), "1.0": (6, 6, 24), "2.0": (4, 4, 20)}


def test_ratios_bound_what_stays() -> None:
    found = widths(GroupRules(ratios={"0.0": (0.25, 0.5), "1.0": (0.0, 0.3)}, multiples={"1.0": 4}))
    assert found == {"0.0": (1, 8, 12), "1.0": (4, 20, 24), "2.0": (1, 1, 20)}


def test_a_ratio_of_zero_leaves_the_group_out() -> None:
    assert set(widths(GroupRules(ratios={"0.0": (0.0, 0.0)}))) == {"1.0", "2.0"}


def test_include_and_exclude() -> None:
    assert set(widths(GroupRules(include=("[01].0",), exclude=("1.*",)))) == {"0.0"}


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ({"include": ("nothing*",)}, "space.include"),
        ({"multiples": {"nothing": 8}}, "space.multiples"),
        ({"ratios": {"nothing": (0.0, 0.5)}}, "space.ratios"),
        ({"ratios": {"0.0": (0.5, 0.2)}}, "space.ratios.0.0"),
        ({"ratios": {"0.0": (0.3, 0.4)}, "multiples": {"0.0": 8}}, "space.ratios"),
        ({"multiples": {"0.0": 0}}, "space.multiples.0.0"),
    ],
)
def test_mistakes_name_the_key(rules: dict[str, object], key: str) -> None:
    with pytest.raises(UserError) as caught:
        widths(GroupRules(**rules))  # type: ignore[arg-type]
    assert caught.value.key == key
