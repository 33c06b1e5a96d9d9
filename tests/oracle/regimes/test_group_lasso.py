"""Norms of two channels, one of them zero, by hand."""

import pytest
import torch

from evaluators.registries import REGIMES
from pruners import analyse
from tests.oracle.methods.test_bn_scale import Sum
from tests.oracle.regimes.settings import gradients, setting
from tests.oracle.toy import chain


def test_norm_and_direction_of_each_channel() -> None:
    """|(3, 4)| = 5 pulls along (.6, .8); a channel at zero is not pulled."""
    model, analysis, _ = chain([[3, 4], [0, 0]], [[12, 2]])
    (hook,) = REGIMES.build("group_lasso", {"strength": 0.1}).hooks(model, setting(analysis.groups))
    penalty, found = gradients(model, hook)
    assert penalty == pytest.approx(0.5)
    first = torch.tensor([[0.06, 0.08], [0, 0]], dtype=torch.float64)
    assert torch.allclose(found["layers.0.weight"], first)
    assert not found["layers.1.weight"].any()


def test_readers_join_the_norm() -> None:
    """|(3, 4, 12)| = 13 and |(0, 0, 2)| = 2."""
    model, analysis, _ = chain([[3, 4], [0, 0]], [[12, 2]])
    regime = REGIMES.build("group_lasso", {"strength": 0.1, "sides": "both"})
    penalty, found = gradients(model, *regime.hooks(model, setting(analysis.groups)))
    assert penalty == pytest.approx(1.5)
    assert found["layers.1.weight"][0].tolist() == pytest.approx([0.1 * 12 / 13, 0.1])


def test_coupled_layers_share_one_norm() -> None:
    """Channel 0: filters 3 and (4, 0, 0) give 5; channel 1: 0 and (0, 1, 0) give 1; channel 2: 2 and zeros give 2."""
    model = Sum().eval()
    with torch.no_grad():
        model.one.weight.copy_(torch.tensor([3.0, 0, 2])[:, None, None, None])
        model.two.weight.copy_(torch.tensor([[4.0, 0, 0], [0, 1, 0], [0, 0, 0]])[:, :, None, None])
    groups = analyse(model, torch.ones(1, 1, 4, 4)).groups
    (hook,) = REGIMES.build("group_lasso", {"strength": 0.1}).hooks(model, setting(groups))
    penalty, found = gradients(model, hook)
    assert penalty == pytest.approx(0.8)
    assert found["one.weight"].flatten().tolist() == pytest.approx([0.06, 0, 0.1])
