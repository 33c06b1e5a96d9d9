"""The PQ index is a measure of sparsity, and the counts that follow from it are monotone and bounded."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pruners.pq_index import PQRule, effective_count, pq_index, pruned_count

MAGNITUDE = st.floats(0, 1e3).map(lambda value: round(value, 3))
PAIRS = st.sampled_from([(0.5, 1.0), (1.0, 2.0), (0.2, 1.0), (0.1, 0.4), (0.9, 1.9)])


@st.composite
def rows(draw: st.DrawFn) -> Tensor:
    values = draw(st.lists(MAGNITUDE, min_size=1, max_size=30))
    assume(max(values) > 0)
    return torch.tensor([values], dtype=torch.float64)


@given(row=rows(), pair=PAIRS)
@settings(max_examples=100, deadline=None)
def test_range(row: Tensor, pair: tuple[float, float]) -> None:
    p, q = pair
    assert -1e-12 <= float(pq_index(row, p, q)) <= 1 - row.size(1) ** (1 / q - 1 / p) + 1e-9


@given(row=rows(), pair=PAIRS, factor=st.sampled_from([1e-12, 0.3, 1e12]), copies=st.integers(2, 4))
@settings(max_examples=100, deadline=None)
def test_scale_order_and_copies_change_nothing(
    row: Tensor, pair: tuple[float, float], factor: float, copies: int
) -> None:
    index = float(pq_index(row, *pair))
    for other in (row * factor, row.flip(1), -row, row.repeat(1, copies)):
        assert float(pq_index(other, *pair)) == pytest.approx(index, abs=1e-9)


@given(row=rows(), pair=PAIRS)
@settings(max_examples=100, deadline=None)
def test_zeros_raise_it_and_a_constant_lowers_it(row: Tensor, pair: tuple[float, float]) -> None:
    index = float(pq_index(row, *pair))
    assert float(pq_index(torch.cat([row, torch.zeros(1, 1)], dim=1), *pair)) > index - 1e-12
    assert float(pq_index(row + 1.0, *pair)) <= index + 1e-9


@given(row=rows(), pair=PAIRS)
@settings(max_examples=100, deadline=None)
def test_masked_entries_do_not_exist(row: Tensor, pair: tuple[float, float]) -> None:
    padded = torch.cat([row, torch.full((1, 3), 77.0)], dim=1)
    mask = torch.arange(padded.size(1))[None] < row.size(1)
    assert float(pq_index(padded, *pair, mask=mask)) == pytest.approx(float(pq_index(row, *pair)), abs=1e-12)


@given(row=rows(), pair=PAIRS, eta=st.sampled_from([0.0, 0.01, 0.5]))
@settings(max_examples=100, deadline=None)
def test_both_ways_to_the_effective_count_agree(row: Tensor, pair: tuple[float, float], eta: float) -> None:
    p, q = pair
    dimension = torch.tensor([float(row.size(1))])
    found = effective_count(dimension, pq_index(row, p, q), PQRule(p=p, q=q, eta=eta))
    scaled = row / row.max()
    norms = ((scaled**p).sum() ** (1 / p)) / ((scaled**q).sum() ** (1 / q))
    expected = (1 + eta) ** (-q / (q - p)) * norms ** (p * q / (q - p))
    assert float(found) == pytest.approx(float(expected), rel=1e-9)


@given(row=rows(), pair=PAIRS, beta=st.sampled_from([0.0, 0.5, 0.9]), round_up=st.booleans())
@settings(max_examples=100, deadline=None)
def test_counts_grow_with_gamma_and_eta_and_empty_nothing(
    row: Tensor, pair: tuple[float, float], beta: float, round_up: bool
) -> None:
    def count(eta: float, gamma: float) -> int:
        rule = PQRule(p=pair[0], q=pair[1], eta=eta, gamma=gamma, beta=beta, round_up=round_up)
        return int(pruned_count(row, rule))

    counts = [[count(eta, gamma) for gamma in (0.5, 1.0, 5.0)] for eta in (0.0, 0.1, 1.0)]
    assert all(line == sorted(line) for line in [*counts, *map(list, zip(*counts, strict=True))])
    assert counts[-1][-1] <= beta * row.size(1) + 1e-6
    assert counts[-1][-1] < row.size(1)
