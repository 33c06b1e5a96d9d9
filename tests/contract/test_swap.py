"""Other tensors in a network for a while, and its own afterwards."""

import pytest
import torch
from torch import nn

from pruners.swap import swapped
from tests.contract.cutting import snapshot
from tests.contract.small_networks import PATTERNS


@pytest.mark.parametrize("name", ["shared_between_parents", "tied_weights", "shared_module", "residual"])
def test_a_network_gets_its_own_tensors_back(name: str) -> None:
    model, example = PATTERNS[name]()
    model.eval()
    before, expected = snapshot(model), model(example)
    zeros = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    with swapped(model, zeros):
        assert not model(example).any()
        assert all(not p.any() for p in model.state_dict().values() if p.is_floating_point() and p.dim() > 1)
    assert snapshot(model) == before
    torch.testing.assert_close(model(example), expected)


def test_an_error_gives_them_back_too() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    before = snapshot(model)
    with pytest.raises(RuntimeError), swapped(model, {"0.weight": torch.zeros(4, 4)}):
        model(torch.zeros(1, 2))
    assert snapshot(model) == before
