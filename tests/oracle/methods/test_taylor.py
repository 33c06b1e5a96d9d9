"""Hand arithmetic on three channels, and the gate against the mask that it stands for."""

import pytest
import torch
from torch import nn

from pruners import METHODS, analyse, figures, gather_evidence
from tests.oracle.data import mean_output, three_channels


def test_one_batch() -> None:
    # gradients of w: 3/2, -1/2, -4/2; times w: 1.5, -1, 2
    group, evidence = three_channels()
    assert METHODS.build("taylor").score(group, evidence).tolist() == [2.25, 1, 4]
    assert METHODS.build("taylor", {"form": "gate"}).score(group, evidence).tolist() == [2.25, 1, 4]


def test_squares_are_averaged_over_batches() -> None:
    # batch by batch: (3, -2, 0) and (0, 0, 4)
    group, evidence = three_channels(num_batches=2)
    assert METHODS.build("taylor").score(group, evidence).tolist() == [4.5, 2, 8]


def test_elements_are_squared_before_the_sum() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)).eval()
    model[0].weight = nn.Parameter(torch.tensor([[1.0, -1.0], [2.0, 0.5]]))
    model[1].weight = nn.Parameter(torch.tensor([[1.0, 1.0]]))
    x = torch.tensor([[2.0, 3.0]])
    analysis = analyse(model, x)
    batches = [(x, torch.zeros(1))]
    evidence = gather_evidence(model, analysis, needs=frozenset({"gradients"}), batches=batches, loss=mean_output)
    (group,) = analysis.groups
    assert METHODS.build("taylor").score(group, evidence).tolist() == [(2 - 3) ** 2, (4 + 1.5) ** 2]
    score = METHODS.build("taylor", {"form": "element"}).score(group, evidence)
    assert score.tolist() == [2**2 + 3**2, 4**2 + 1.5**2]


def test_gate_is_the_gradient_of_a_mask_behind_the_batch_norm() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1), nn.Flatten()).eval()
    nn.init.normal_(model[1].weight)
    nn.init.normal_(model[1].bias)
    x = torch.randn(4, 3, 6, 6)
    analysis = analyse(model, x[:1])
    batches = [(x, torch.tensor([0, 1, 0, 1]))]
    evidence = gather_evidence(model, analysis, needs=frozenset({"gradients", "activations"}), batches=batches)
    (group,) = analysis.groups
    score = METHODS.build("taylor", {"form": "gate"}).score(group, evidence)
    assert score.tolist() == pytest.approx(evidence.figure(group, figures.MASK_SUM).square().tolist(), rel=1e-4)
