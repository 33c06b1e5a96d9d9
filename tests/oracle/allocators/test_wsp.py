"""The same six channels: how many are weak at each percentile."""

import pytest
import torch
from torch import Tensor, nn

from pruners import ALLOCATORS, analyse, gather_evidence
from tests.oracle.methods.test_wsp import READERS, ROWS
from tests.oracle.toy import chain


@pytest.mark.parametrize(("percentile", "removed"), [(30, 1), (50, 2), (70, 3), (90, 4)])
def test_removed_channels(percentile: float, removed: int) -> None:
    _, analysis, evidence = chain(ROWS, READERS)
    ratios = ALLOCATORS.build("wsp", {"p_conv": float(percentile)}).ratios(analysis.groups, evidence)
    assert ratios.tolist() == [removed / 6]


def test_linear_layers_have_their_own_percentile() -> None:
    _, analysis, evidence = chain(ROWS, READERS)
    ratios = ALLOCATORS.build("wsp", {"p_conv": 25.0, "fc_factor": 2.0}).ratios(analysis.groups, evidence)
    assert ratios.tolist() == [2 / 6]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 6, 1, bias=False), nn.Conv2d(6, 6, 1, bias=False)
        self.head = nn.Linear(6 * 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head((x + self.conv(x)).flatten(1))


def test_residual_groups_wait() -> None:
    torch.manual_seed(0)
    model = Residual().eval()
    analysis = analyse(model, torch.ones(1, 1, 2, 2))
    evidence = gather_evidence(model, analysis)
    kept = ALLOCATORS.build("wsp", {"p_conv": 99.0}).ratios(analysis.groups, evidence)
    cut = ALLOCATORS.build("wsp", {"p_conv": 99.0, "residual": True}).ratios(analysis.groups, evidence)
    assert kept.tolist() == [0]
    assert cut[0] > 0
