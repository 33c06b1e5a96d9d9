"""Hand arithmetic on two batch norms that a residual sum couples."""

import torch
from torch import Tensor, nn

from pruners import METHODS, analyse, gather_evidence
from tests.oracle.toy import filters


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.bn1 = nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3)
        self.two, self.bn2 = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)
        self.bn1.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.bn2.weight = nn.Parameter(torch.tensor([3.0, 0.0, -0.5]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.one(x))
        return self.head((x + self.bn2(self.two(x))).mean((2, 3)))


def test_average_of_absolute_scales() -> None:
    model = Sum().eval()
    analysis = analyse(model, torch.ones(1, 1, 4, 4))
    (group,) = analysis.groups
    score = METHODS.build("bn_scale").score(group, gather_evidence(model, analysis))
    assert score.tolist() == [2.0, 1.0, 0.5]


def test_without_batch_norm_the_filters_decide() -> None:
    group, evidence = filters([[3, 4], [0, 1]])
    assert METHODS.build("bn_scale").score(group, evidence).tolist() == [5, 1]
