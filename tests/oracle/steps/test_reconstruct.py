"""Least squares against torch itself on the data, and exactness where the kept channels know everything."""

import pytest
import torch
from torch import nn

from pruners import STEPS, Plan, analyse, gather_evidence, slim
from pruners.moments import Moments, columns_of, weight_of
from pruners.steps.reconstruct import refit


def test_equals_least_squares_on_the_data() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(500, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 3
    weight = torch.randn(4, 6, generator=generator)
    mean = rows.mean(dim=0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    kept = torch.tensor([0, 2, 5])
    new, shift = refit(weight, Moments(covariance=covariance, mean=mean), kept, ridge=1e-9)
    with_one = torch.cat([rows[:, kept], torch.ones(len(rows), 1)], dim=1)
    expected = torch.linalg.lstsq(with_one, rows @ weight.T).solution
    torch.testing.assert_close(new, expected[:3].T, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(shift, expected[3], atol=1e-2, rtol=1e-3)


def test_no_data_says_no_change() -> None:
    """Uncorrelated inputs of mean zero: nothing can be handed over."""
    weight = torch.tensor([[1.0, 2.0, 3.0]])
    moments = Moments(covariance=torch.eye(3), mean=torch.zeros(3))
    new, shift = refit(weight, moments, torch.tensor([0, 2]), ridge=1e-9)
    torch.testing.assert_close(new, torch.tensor([[1.0, 3.0]]))
    assert shift.tolist() == [0.0]


@pytest.mark.parametrize("first", [nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 6, 3, padding="same", dilation=2)])
def test_exact_where_removed_channels_are_multiples_of_kept_ones(first: nn.Conv2d) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(first, nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(64, 3))
    model.eval()
    with torch.no_grad():
        for tensor in (first.weight, first.bias):
            assert tensor is not None
            tensor[4], tensor[5] = 2 * tensor[1], 0.5 * tensor[2]
    x = torch.randn(200, 3, 8, 8)
    analysis = analyse(model, x[:1])
    evidence = gather_evidence(model, analysis, needs=frozenset({"moments"}), batches=[(x, torch.zeros(200).long())])
    name = next(group.name for group in analysis.groups if group.width == 6)
    plan = Plan.of({name: [0, 1, 2, 3]})
    small = slim(model, analysis.groups, plan)
    with torch.no_grad():
        assert not torch.allclose(small(x), model(x), atol=1e-2)
        step = STEPS.build("reconstruct", {"ridge": 1e-5})
        step.apply(small, groups=analysis.groups, plan=plan, dense=model, evidence=evidence)
        torch.testing.assert_close(small(x), model(x), atol=2e-3, rtol=1e-2)


def test_columns_and_back() -> None:
    weight = torch.arange(2 * 3 * 4).reshape(2, 3, 2, 2).float()
    for num_inputs in (12, 3):
        columns = columns_of(weight, num_inputs)
        assert columns.size(1) == num_inputs
        torch.testing.assert_close(weight_of(columns, weight.shape), weight)
