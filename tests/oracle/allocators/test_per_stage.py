"""Groups of two sizes, one of them shared by two layers."""

import math

import pytest
import torch
from torch import Tensor, nn

from pruners import ALLOCATORS, analyse, gather_evidence


class TwoStages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 1)
        self.inner = nn.Conv2d(4, 3, 1)
        self.outer = nn.Conv2d(3, 4, 1)
        self.last = nn.Conv2d(4, 5, 1, stride=2)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.outer(torch.relu(self.inner(x)))
        return self.head(self.last(x).mean((2, 3)))


def test_knots_and_the_residual_term() -> None:
    model = TwoStages().eval()
    analysis = analyse(model, torch.ones(1, 1, 4, 4))
    params = {"first": -1.0, "second": 0.3, "third": 0.3, "last": 0.5, "residual": 0.25, "ratio": 0.5}
    found = ALLOCATORS.build("per_stage", params).ratios(analysis.groups, gather_evidence(model, analysis))
    expected = {"stem": -1 + 0.25, "inner": -1, "last": 0.5}
    assert [group.name for group in analysis.groups] == list(expected)
    assert found.tolist() == pytest.approx([1 - 0.5 ** math.exp(s) for s in expected.values()])
