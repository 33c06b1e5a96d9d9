"""Four filters that read two pairs of inputs: groups, thresholds, kept inputs and the built layer, by hand."""

import pytest
import torch
from torch import Tensor, nn

from pruners import STEPS, Plan, analyse, count_macs, gather_evidence, slim
from pruners.connections import (
    Connections,
    cut_connections,
    group_centroids,
    group_filters,
    input_importance,
    keep_strongest,
    kernel_taylor,
)
from pruners.figures import KERNEL_TAYLOR
from pruners.grouped import GroupedLayer, grouped
from pruners.rewrite import cut_tensors
from pruners.steps.regroup import regroupable
from spaces import UserError
from tests.oracle.data import SAMPLES, mean_output
from tests.oracle.toy import chain

IMPORTANCE = torch.tensor(
    [[0.9, 0.8, 0.1, 0.2], [0.8, 0.9, 0.2, 0.1], [0.1, 0.2, 0.7, 0.6], [0.2, 0.1, 0.6, 0.9]], dtype=torch.float64
)
LABELS = torch.tensor([0, 0, 1, 1])


def toy_layer() -> nn.Conv2d:
    """A 1 x 1 convolution with these norms, signs alternating."""
    layer = nn.Conv2d(4, 4, 1, bias=False)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    layer.weight = nn.Parameter((IMPORTANCE.float() * signs)[:, :, None, None])
    return layer


def test_groups_and_centroids() -> None:
    importance = input_importance(toy_layer().weight)
    torch.testing.assert_close(importance, IMPORTANCE, atol=1e-6, rtol=0)
    for seed in range(5):
        assert group_filters(importance, num_groups=2, seed=seed).tolist() == [0, 0, 1, 1]
    centroids = group_centroids(IMPORTANCE, LABELS, torch.ones(4, 4, dtype=torch.bool))
    torch.testing.assert_close(centroids, torch.tensor([[0.85, 0.85, 0.15, 0.15], [0.15, 0.15, 0.65, 0.75]]).double())


@pytest.mark.parametrize(
    ("percentile", "first", "second"), [(50, [0, 1], [2, 3]), (62.5, [0, 1], [3]), (75, [0, 1], [])]
)
def test_kept_inputs(percentile: float, first: list[int], second: list[int]) -> None:
    mask = cut_connections(IMPORTANCE, LABELS, percentile=percentile)
    for filters, inputs in (((0, 1), first), ((2, 3), second)):
        for index in filters:
            assert torch.nonzero(mask[index]).flatten().tolist() == inputs
    assert float((~mask).double().mean()) == percentile / 100
    assert Connections.of(IMPORTANCE, LABELS).num_kept(percentile) == int(mask.sum())


def test_earlier_cuts_count_as_zeros_and_stay_cut() -> None:
    half = cut_connections(IMPORTANCE, LABELS, percentile=50)
    assert cut_connections(IMPORTANCE, LABELS, percentile=50, mask=half).equal(half)
    more = cut_connections(IMPORTANCE, LABELS, percentile=62.5, mask=half)
    assert more.equal(cut_connections(IMPORTANCE, LABELS, percentile=62.5))


def test_something_always_stays() -> None:
    assert cut_connections(torch.ones(4, 4).double(), LABELS, percentile=90).any()
    assert Connections.of(torch.ones(4, 4).double(), LABELS).num_kept(90) == 16


def test_half_is_one_grouped_convolution_without_permutation() -> None:
    layer = grouped(toy_layer(), cut_connections(IMPORTANCE, LABELS, percentile=50))
    (part,) = layer.parts
    assert isinstance(part, nn.Conv2d)
    assert (part.in_channels, part.out_channels, part.groups) == (4, 4, 2)
    assert layer.gather is None
    assert layer.restore is None
    assert count_macs(layer, torch.zeros(1, 4, 5, 5)) == 25 * 8


def test_dead_filters_give_zero_and_cost_nothing() -> None:
    layer = grouped(toy_layer(), cut_connections(IMPORTANCE, LABELS, percentile=75))
    x = torch.randn(2, 4, 3, 3)
    assert layer(x)[:, 2:].abs().sum() == 0
    torch.testing.assert_close(layer(x)[:, :2], nn.functional.conv2d(x[:, :2], toy_layer().weight[:2, :2]))
    assert count_macs(layer, x[:1]) == 9 * 4


def test_equal_groups() -> None:
    importance = torch.rand(12, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = group_filters(importance, num_groups=5, equalise=True)
    assert labels.bincount().tolist() == [3, 3, 3, 3]
    mask = keep_strongest(importance, labels, percentile=70)
    assert mask.sum(dim=1).tolist() == [3] * 12


def test_taylor_by_hand() -> None:
    """Sums over the kernel before the absolute value: 1 * 2 - 3 * 1 and 2 * 2; mean of two batches."""
    weight = torch.tensor([[[[1.0, -3.0]], [[2.0, 0.0]]]])
    gradient = torch.tensor([[[[2.0, 1.0]], [[2.0, 9.0]]]])
    assert kernel_taylor(weight, gradient).tolist() == [[1.0, 4.0]]
    assert kernel_taylor(torch.tensor([[2.0, -1.0]]), torch.tensor([[-3.0, 4.0]])).tolist() == [[6.0, 4.0]]


def test_taylor_through_evidence_and_a_cut() -> None:
    """The second layer's connections: output w a, loss its mean, so weight x gradient is w times the mean of a."""
    model, analysis, _ = chain([[1.0], [2.0], [-1.0]], [[3.0, -1.0, 2.0], [1.0, 1.0, 0.0]])
    evidence = gather_evidence(
        model, analysis, needs=frozenset({"connections"}), batches=[(SAMPLES, torch.zeros(2))], loss=mean_output
    )
    figure = evidence.figures["layers.1", KERNEL_TAYLOR]
    torch.testing.assert_close(figure, torch.tensor([[3 * 0.5, 1.0, 2 * 1.0], [0.5, 1.0, 0.0]]))
    step = STEPS.build("regroup", {"importance": "taylor", "num_groups": 2})
    plan = Plan.of({analysis.groups[0].name: [0, 2]})
    context = {"groups": analysis.groups, "plan": plan, "dense": model, "evidence": evidence}
    assert regroupable(model) == {}  # fewer than five inputs; the cut is what is looked at here
    found = cut_tensors(step._taylor(["layers.1"], evidence), analysis.groups, plan)
    torch.testing.assert_close(found["layers.1.weight"], torch.tensor([[1.5, 2.0], [0.5, 0.0]]))
    without = gather_evidence(model, analysis)
    with pytest.raises(UserError, match="connections"):
        step.prepare(slim(model, analysis.groups, plan), **{**context, "evidence": without})


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.conv, self.bn = nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24)
        self.deep = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.downsample = nn.Conv2d(24, 32, 1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv(torch.relu(self.stem(x)))))
        return self.head(self.downsample(self.deep(x)).mean((2, 3)))


def test_the_step() -> None:
    torch.manual_seed(0)
    dense, x = Net().eval(), torch.randn(1, 3, 8, 8)
    assert list(regroupable(dense)) == ["conv", "head"]
    analysis = analyse(dense, x)
    plan = Plan(kept=())
    step = STEPS.build("regroup", {"num_groups": 4, "cp": 70.0, "fc_cap": 40.0})
    context = {"groups": analysis.groups, "plan": plan, "dense": dense, "evidence": gather_evidence(dense, analysis)}
    small = slim(dense, analysis.groups, plan)
    prepared = step.prepare(slim(dense, analysis.groups, plan), **context)
    network = step.apply(small, **context)
    assert isinstance(network.conv, GroupedLayer)
    assert isinstance(network.head, GroupedLayer)
    assert prepared.macs(70.0) == count_macs(network, x)
    kept_conv = count_macs(network.conv, torch.zeros(1, 16, 8, 8)) / (4 * 4 * 24 * 16 * 9)
    kept_head = count_macs(network.head, torch.zeros(1, 32)) / 320
    assert 0.2 < kept_conv <= 0.3  # a group's connection goes at once, so up to a group's worth more is cut
    assert 0.45 < kept_head <= 0.6
