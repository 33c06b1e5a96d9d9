"""Any plan of any small network: the cut network answers like the masked one and costs what the model said."""

from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pruners import Analysis, Plan, analyse
from tests.contract.cutting import assert_right, randomise
from tests.contract.small_networks import image

KINDS = ["plain", "residual", "depthwise", "grouped", "gate", "concat", "pool", "prelu", "halves", "norm"]


class Step(nn.Module):
    """One random piece of a network: (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, kind: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kind = kind
        self.outputs = {"concat": inputs + outputs, "residual": inputs, "depthwise": inputs, "gate": inputs}.get(
            kind, inputs if kind in {"pool", "prelu", "norm", "halves"} else outputs
        )
        self.norm = nn.BatchNorm2d(self.outputs)
        self.layer = self._layer(kind, inputs, outputs)

    def _layer(self, kind: str, inputs: int, outputs: int) -> nn.Module:
        match kind:
            case "plain":
                return nn.Conv2d(inputs, outputs, 3, padding=1)
            case "grouped":
                return nn.Conv2d(inputs, outputs, 1, groups=2)
            case "depthwise":
                return nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
            case "residual" | "gate":
                return nn.Conv2d(inputs, inputs, 1)
            case "concat":
                return nn.Conv2d(inputs, outputs, 1)
            case "prelu":
                return nn.PReLU(inputs)
            case "norm":
                return nn.GroupNorm(2, inputs)
            case "halves":
                return nn.Conv2d(inputs // 2, inputs // 2, 1)
        return nn.MaxPool2d(2, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "residual":
                out = x + self.layer(x)
            case "gate":
                out = x * torch.sigmoid(self.layer(x.mean((2, 3), keepdim=True)))
            case "concat":
                out = torch.cat([self.layer(x), x], 1)
            case "halves":
                left, right = x.chunk(2, dim=1)
                out = torch.cat([left, self.layer(right)], 1)
            case _:
                out = self.layer(x)
        return torch.relu(self.norm(out))


@st.composite
def networks(draw: Any) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(draw(st.integers(0, 99)))
    steps: list[nn.Module] = []
    width = 3
    first = True
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5)):
        step = Step("plain" if first else kind, width, 2 * draw(st.integers(1, 4)))
        first, width = False, step.outputs
        steps.append(step)
    last = [nn.Flatten(), nn.Linear(width * 36, 3)] if draw(st.booleans()) else [
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3)
    ]  # fmt: skip
    pool = nn.AdaptiveAvgPool2d(6)
    return randomise(nn.Sequential(*steps, pool, *last).eval()), image(3, 6)


def any_plan(data: st.DataObject, analysis: Analysis) -> Plan:
    kept = {}
    for group in analysis.groups:
        count = data.draw(st.integers(1, group.width))
        kept[group.name] = data.draw(st.permutations(range(group.width)))[:count]
    return Plan.of(kept)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.data())
def test_any_plan_of_any_network(network: tuple[nn.Module, Tensor], data: st.DataObject) -> None:
    model, example = network
    analysis = analyse(model, example)
    assert not [reason for reason in analysis.dense if "breaks" in reason.reason or "changes" in reason.reason]
    assert_right(model, example, analysis, any_plan(data, analysis))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.data())
def test_more_channels_never_cost_less(network: tuple[nn.Module, Tensor], data: st.DataObject) -> None:
    analysis = analyse(*network)
    widths = np.array([group.width for group in analysis.groups], dtype=np.int64)
    kept = np.array([data.draw(st.integers(1, int(width))) for width in widths], dtype=np.int64)
    more = np.minimum(kept + 1, widths)
    for figure in (analysis.cost.macs, analysis.cost.params, analysis.cost.thop, analysis.cost.activation_bytes):
        assert figure(kept)[0] <= figure(more)[0]
    batch = np.stack([kept, more, kept])
    assert analysis.cost.macs(batch).tolist() == [int(analysis.cost.macs(row)[0]) for row in batch]
