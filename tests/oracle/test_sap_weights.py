"""Single weights, by hand: the pivot is strict, masked weights do not count, rounds without training freeze."""

import pytest
import torch
from torch import Tensor, nn

from pruners import count_macs
from pruners.masks import Masks, nonzero_macs, prunable_weights
from pruners.pq_index import PQRule, gini_index
from pruners.sap_weights import Scope, gini, pruned_further, sparsity

E = [8 * 2.0**-i for i in range(10)]


def masks_of(weights: dict[str, Tensor]) -> Masks:
    return Masks(kept={name: torch.ones_like(value, dtype=torch.bool) for name, value in weights.items()})


@pytest.mark.parametrize(("gamma", "removed"), [(1, 0), (2, 2)])
def test_ties_at_the_pivot_stay(gamma: float, removed: int) -> None:
    """One of [.5 .3 .1 .1] should go, but both smallest are equal; two go together."""
    weights = {"w": torch.tensor([[0.5, 0.3], [0.1, -0.1]])}
    after = pruned_further(weights, masks_of(weights), PQRule(p=1, q=2, gamma=gamma, round_up=True))
    assert after.num_weights - after.num_kept == removed


@pytest.mark.parametrize(("p", "q", "left"), [(1, 2, [3, 3]), (0.5, 1, [6, 5, 5])])
def test_rounds_without_training(p: float, q: float, left: list[int]) -> None:
    weights = {"w": torch.tensor([E], dtype=torch.float64)}
    masks = masks_of(weights)
    for expected in left:
        masks = pruned_further(weights, masks, PQRule(p=p, q=q, round_up=True))
        assert masks.num_kept == expected
    assert masks.kept["w"][0, : left[-1]].all()


@pytest.mark.parametrize(("scope", "left"), [("neuron", [[1] * 4, [1] * 4]), ("layer", [[1] * 4, [1, 0, 0, 0]])])
def test_scopes(scope: Scope, left: list[list[int]]) -> None:
    """As one layer 115^2 / 10039 = 1.3 entries count, so 6 of 8 should go: the pivot is a 3, and all threes stay.

    By neuron nothing of the first row goes, and the second's pivot is one of its three ones.
    """
    weights = {"w": torch.tensor([[3.0, 3, 3, 3], [100.0, 1, 1, 1]])}
    after = pruned_further(weights, masks_of(weights), PQRule(p=1, q=2, round_up=True), scope=scope)
    assert after.kept["w"].int().tolist() == left


def test_global_scope_compares_all_layers() -> None:
    weights = {"a": torch.tensor([[8.0, 4], [2, 1]]), "b": torch.tensor([[0.5, 0.25, 0.125, 0.0625]])}
    rest = {"c": torch.tensor([[0.03125, 0.015625]])}  # together the ten powers of two
    after = pruned_further(weights | rest, masks_of(weights | rest), PQRule(p=1, q=2, round_up=True), scope="global")
    assert [int(mask.sum()) for mask in after.kept.values()] == [3, 0, 0]


def test_a_fixed_share_of_what_is_left() -> None:
    """A fifth of ten, then of eight (1.6): 2 and 1; the smallest go."""
    weights = {"w": torch.tensor([E], dtype=torch.float64)}
    masks = masks_of(weights)
    for left in (8, 7):
        masks = pruned_further(weights, masks, PQRule(), share=0.2)
        assert masks.kept["w"].int().tolist() == [[1] * left + [0] * (10 - left)]


def test_an_empty_unit_is_left_alone() -> None:
    weights = {"w": torch.tensor([[1.0, 2], [3, 4]])}
    masks = Masks(kept={"w": torch.tensor([[False, False], [True, True]])})
    after = pruned_further(weights, masks, PQRule(eta=1.0, round_up=True), scope="neuron")
    assert after.kept["w"].tolist()[0] == [False, False]
    assert after.kept["w"][1].any()


def test_index_of_what_is_left() -> None:
    weights = {"w": torch.tensor([[0.5, 0.3, 0.1, 0.1, 0.0]]), "v": torch.ones(1, 2)}
    masks = Masks(kept={"w": torch.tensor([[True] * 4 + [False]]), "v": torch.ones(1, 2, dtype=torch.bool)})
    layers, whole = sparsity(weights, masks, PQRule(p=1, q=2))
    assert layers == pytest.approx({"w": 0.166667, "v": 0.0}, abs=1e-6)
    assert whole == pytest.approx(1 - 6**-0.5 * 3 / 2.36**0.5, abs=1e-6)


def test_gini_of_what_is_left() -> None:
    """[.1 .1 .3 .5]: 1 - 2 (.1 * 3.5 + .1 * 2.5 + .3 * 1.5 + .5 * .5) / 4 = .35; one entry of four: 1 - 1 / 4."""
    weights = {"w": torch.tensor([[0.5, 0.3, -0.1, 0.1, 9.0]]), "one": torch.tensor([[0.0, 0, -7, 0]])}
    masks = Masks(kept={"w": torch.tensor([[True] * 4 + [False]]), "one": torch.ones(1, 4, dtype=torch.bool)})
    layers, whole = gini(weights, masks)
    assert layers == pytest.approx({"w": 0.35, "one": 0.75})
    together = torch.tensor([[0.5, 0.3, 0.1, 0.1, 0, 0, 7, 0]])
    assert whole == pytest.approx(float(gini_index(together)))
    assert float(gini_index(torch.ones(1, 6))) == float(gini_index(torch.zeros(1, 6))) == 0
    assert float(gini_index(3 * together)) == pytest.approx(whole)
    assert float(gini_index(torch.cat([together, together], dim=1))) == pytest.approx(whole)  # cloning


def test_nonzero_macs() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten())
    model.append(nn.Linear(4, 3))
    example = torch.zeros(1, 2, 7, 7)
    masks = Masks.dense(model)
    assert sorted(masks.kept) == ["0.weight", "2.weight", "4.weight"]
    assert nonzero_macs(model, masks, example) == count_macs(model, example)
    masks.kept["0.weight"][0] = False  # 18 weights, each used on 3 x 3 pixels
    masks.kept["4.weight"][1, 2] = False
    assert nonzero_macs(model, masks, example) == count_macs(model, example) - 18 * 9 - 1
    masks.apply(model)
    assert prunable_weights(model)["0.weight"][0].abs().sum() == 0
