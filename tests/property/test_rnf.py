"""Recommendation by nearest filters depends on distances only, and its choices are nested."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pruners import METHODS
from pruners.decide import choose
from pruners.methods.rnf import neighbour_ranks
from tests.oracle.toy import filters

WHOLE = st.integers(min_value=-20, max_value=20).map(float)


@st.composite
def matrices(draw: st.DrawFn) -> Tensor:
    width, fan_in = draw(st.integers(2, 9)), draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(WHOLE, min_size=fan_in, max_size=fan_in), min_size=width, max_size=width))
    return torch.tensor(rows, dtype=torch.float64)


@given(rows=matrices(), factor=st.sampled_from([1e-6, 0.1, 1 / 3, 7.0, 1e6]))
@settings(max_examples=60, deadline=None)
def test_scaling_changes_nothing(rows: Tensor, factor: float) -> None:
    assert neighbour_ranks(rows).equal(neighbour_ranks(rows * factor))


@given(rows=matrices(), shift=WHOLE)
@settings(max_examples=60, deadline=None)
def test_adding_one_filter_to_all_changes_nothing(rows: Tensor, shift: float) -> None:
    assert neighbour_ranks(rows).equal(neighbour_ranks(rows + shift * torch.arange(1, rows.size(1) + 1)))


@given(rows=matrices(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_rotation_changes_nothing(rows: Tensor, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows.size(1), rows.size(1), generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(noise)[0]
    assert neighbour_ranks(rows).equal(neighbour_ranks(rows @ rotation))


@given(rows=matrices(), k_ratio=st.sampled_from([0.2, 0.5, 1.0]), pairwise=st.booleans())
@settings(max_examples=20, deadline=None)
def test_what_few_keep_more_keep_too(rows: Tensor, k_ratio: float, pairwise: bool) -> None:
    group, evidence = filters((rows + torch.linspace(0, 1, len(rows))[:, None]).tolist())
    method = METHODS.build("rnf", {"k_ratio": k_ratio, "pairwise": pairwise})
    kept = [set(choose(method, group, count, evidence)) for count in range(1, group.width + 1)]
    assert all(len(few) == count for count, few in enumerate(kept, start=1))
    assert all(few < more for few, more in itertools.pairwise(kept))
