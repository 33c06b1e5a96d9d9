"""The cubic schedule, and which weights go and come back, by hand."""

import pytest
import torch
from torch import nn

from evaluators.regimes.granet import GradualMasks
from evaluators.registries import REGIMES
from pruners import count_macs
from pruners.gradual import cubic_sparsity, pruned_to, regenerated
from pruners.masks import Masks
from tests.oracle.regimes.settings import setting


def test_schedule() -> None:
    found = [cubic_sparsity(t, 10, initial=0, final=0.9) for t in range(11)]
    expected = [0, 0.2439, 0.4392, 0.5913, 0.7056, 0.7875, 0.8424, 0.8757, 0.8928, 0.8991, 0.9]
    assert found == pytest.approx(expected, abs=1e-9)
    assert cubic_sparsity(12, 10, initial=0.5, final=0.9) == 0.9
    assert cubic_sparsity(0, 10, initial=0.5, final=0.9) == 0.5


def test_smallest_magnitudes_go() -> None:
    weights = {"a": torch.tensor([[4.0, -3], [2, 0.5]]), "b": torch.tensor([[1.0, 0.1, -5, 0.2]])}
    masks = Masks(kept={name: torch.ones_like(value, dtype=torch.bool) for name, value in weights.items()})
    whole = pruned_to(weights, masks, 0.5)
    assert whole.kept["a"].int().tolist() == [[1, 1], [1, 0]]
    assert whole.kept["b"].int().tolist() == [[0, 0, 1, 0]]
    layers = pruned_to(weights, masks, 0.5, scope="layer")
    assert layers.kept["a"].int().tolist() == [[1, 1], [0, 0]]
    assert layers.kept["b"].int().tolist() == [[1, 0, 1, 0]]
    assert pruned_to(weights, whole, 0.25).num_kept == whole.num_kept, "nothing comes back"


def test_large_gradients_come_back() -> None:
    """Half of four live weights go, 1 and 2; of the masked ones those with gradients 9 and 7 come in their place."""
    weights = {"w": torch.tensor([[4.0, 1, 3, 2, 0, 0, 0, 0]])}
    gradients = {"w": torch.tensor([[50.0, 7, 50, 0, 1, -9, 2, 3]])}
    masks = Masks(kept={"w": torch.tensor([[True] * 4 + [False] * 4])})
    after = regenerated(weights, gradients, masks, rate=0.5)
    assert after.kept["w"].int().tolist() == [[1, 1, 1, 0, 0, 1, 0, 0]]
    assert after.num_kept == masks.num_kept
    assert torch.equal(regenerated(weights, {}, masks, rate=0.5).kept["w"], masks.kept["w"])


def test_updates_within_a_training() -> None:
    """Ten updates in the first 20 of 24 steps, then two more that only swap; 100 weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2, bias=False))
    regime = REGIMES.build("granet", {"ramp": 0.84, "regrow": 0.3})
    (hook,) = regime.hooks(model, setting(num_steps=24))
    assert isinstance(hook, GradualMasks)
    for step in range(24):
        model.zero_grad()
        model(torch.ones(1, 1, 4, 4)).square().sum().backward()
        with torch.no_grad():
            model[0].weight.add_(0.01)
        hook.after_step(model, step)
        assert not model[0].weight[~hook.masks.kept["0.weight"]].any()
    remaining = [found.remaining_weights for found in hook.rounds]
    assert remaining == [100, 76, 56, 41, 29, 21, 16, 12, 11, 10, 10, 10, 10]
    assert hook.rounds[0].nonzero_macs == count_macs(model, torch.ones(1, 1, 4, 4))
    assert hook.rounds[-1].nonzero_macs == 10 * 16
