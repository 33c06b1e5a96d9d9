"""Factors by hand: a channel takes over what the removed one wrote in its direction."""

import pytest
import torch
from torch import nn

from pruners import STEPS, Plan, analyse, gather_evidence, slim
from pruners.steps.rescale import fitted


def test_factors_by_hand() -> None:
    """Contributions (2, 0), (0, 1), (1, 3): without the third, 2 and 1 have to make 3 and 4."""
    rows = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(fitted(rows @ rows.T, (0, 1), ridge=0.0), torch.tensor([1.5, 4.0]).double())


def test_ridge_draws_the_factors_to_one() -> None:
    """Squares 4 and, of the removed one, 1, so the mean is 2.5; product 2: d = 2 / (4 + ridge * 2.5)."""
    rows = torch.tensor([[2.0], [1.0]], dtype=torch.float64)
    assert fitted(rows @ rows.T, (0,), ridge=0.4).tolist() == pytest.approx([1 + 2 / 5])
    assert fitted(rows @ rows.T, (0,), ridge=1e9).tolist() == pytest.approx([1.0])


def test_nothing_removed_nothing_changed() -> None:
    rows = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(fitted(rows @ rows.T, (0, 1, 2), ridge=0.1), torch.ones(3).double())


def test_a_proportional_channel_is_made_up_for_exactly() -> None:
    """The second filter is 3 times the first, so after the ReLU its contribution is proportional with equal columns."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten()).eval()
    with torch.no_grad():
        model[0].weight[1] = 3 * model[0].weight[0]
        model[2].weight[:, 1] = model[2].weight[:, 0]
    images = torch.randn(64, 3, 8, 8)
    analysis = analyse(model, images[:1])
    batches = [(images, torch.zeros(64, dtype=torch.int64))]
    evidence = gather_evidence(model, analysis, needs=frozenset({"maps"}), batches=batches)
    plan = Plan.of({analysis.groups[0].name: [0, 2, 3]})
    small = slim(model, analysis.groups, plan)
    step = STEPS.build("rescale", {"ridge": 1e-4})
    finished = step.apply(small, groups=analysis.groups, plan=plan, dense=model, evidence=evidence)
    torch.testing.assert_close(finished(images), model(images), atol=2e-3, rtol=0)
    torch.testing.assert_close(finished[2].weight[:, 0], 4 * model[2].weight[:, 0], atol=2e-3, rtol=0)
