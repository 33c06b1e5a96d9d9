"""Linear CKA by hand; a block that does nothing goes first, and nothing is missed."""

import pytest
import torch
from torch import Tensor, nn

from pruners import STEPS, Plan, analyse, count, gather_evidence, slim
from pruners.blocks import linear_cka, removed_blocks, residual_blocks


class Block(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        nn.init.normal_(self.two.weight, std=scale)
        nn.init.zeros_(self.two.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.two(torch.relu(self.one(x))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 4, 3)
        self.plain = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.stage = nn.Sequential(Block(0.5), Block(0.0), Block(0.1))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stage(self.plain(torch.relu(self.stem(x)))).mean((2, 3)))


IMAGES = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_linear_cka() -> None:
    x = torch.tensor([[1.0, 0], [0, 1], [1, 1], [2, 0]])
    assert linear_cka(x, x * torch.tensor([1.0, 2.0])) == pytest.approx(0.928571, abs=1e-6)
    assert linear_cka(x, 3 * x) == pytest.approx(1)
    wide = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    assert linear_cka(wide, wide @ torch.linalg.qr(torch.randn(9, 9)).Q) == pytest.approx(1)


def test_blocks_are_found_by_what_they_do() -> None:
    assert residual_blocks(Net().eval(), IMAGES) == ("stage.0", "stage.1", "stage.2")


def test_an_idle_block_goes_without_a_trace() -> None:
    model = Net().eval()
    analysis = analyse(model, IMAGES[:1])
    batches = [(IMAGES, torch.zeros(len(IMAGES), dtype=torch.int64))]
    evidence = gather_evidence(model, analysis, needs=frozenset({"blocks", "weights"}), batches=batches)
    assert evidence.blocks["stage.1"] == pytest.approx(1)
    assert evidence.blocks["stage.2"] > evidence.blocks["stage.0"]
    step = STEPS.build("remove_blocks", {"fraction": 0.34})
    plan = Plan.of({group.name: range(group.width) for group in analysis.groups})
    small = step.apply(
        slim(model, analysis.groups, plan), groups=analysis.groups, plan=plan, dense=model, evidence=evidence
    )
    assert removed_blocks(model, small) == ("stage.1",)
    torch.testing.assert_close(small(IMAGES), model(IMAGES))


def test_the_reduced_cost_is_what_both_counters_say() -> None:
    model = Net().eval()
    analysis = analyse(model, IMAGES[:1])
    batches = [(IMAGES, torch.zeros(len(IMAGES), dtype=torch.int64))]
    evidence = gather_evidence(model, analysis, needs=frozenset({"blocks", "weights"}), batches=batches)
    step = STEPS.build("remove_blocks", {"fraction": 0.6})
    plan = Plan.of({group.name: range(max(1, group.width // 2)) for group in analysis.groups})
    small = step.apply(
        slim(model, analysis.groups, plan), groups=analysis.groups, plan=plan, dense=model, evidence=evidence
    )
    assert len(removed_blocks(model, small)) == 2
    cost = step.cost(analysis.cost, evidence)
    kept = plan.counts(analysis.groups)
    counts = count(small, IMAGES[:1])
    assert (cost.macs(kept)[0], cost.params(kept)[0]) == (counts.macs, counts.params)
    assert cost.thop(kept)[0] == counts.thop_macs
    assert sum(layer.macs for layer in cost.layers(kept)) == counts.macs
    assert cost.dense_macs == analysis.cost.dense_macs
