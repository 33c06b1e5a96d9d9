"""Groups and evidence made from plain matrices, so that an oracle is a few numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pruners import Analysis, Evidence, analyse, gather_evidence
from spaces import ChannelGroup


class Chain(nn.Module):
    """Linear layers in a row: layer i's weight computes group i, layer i + 1's weight reads it."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(w.size(1), w.size(0), bias=False) for w in weights)
        for layer, weight in zip(self.layers, weights, strict=True):
            layer.weight = nn.Parameter(weight.clone())

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x)) if layer is not self.layers[-1] else layer(x)
        return x


def chain(*weights: Sequence[Sequence[float]]) -> tuple[Chain, Analysis, Evidence]:
    """A chain of linear layers with these weights; the last one is the output and makes no group."""
    model = Chain([torch.tensor(weight, dtype=torch.float64) for weight in weights]).eval()
    analysis = analyse(model, torch.ones(1, len(weights[0][0]), dtype=torch.float64))
    return model, analysis, gather_evidence(model, analysis)


def filters(
    rows: Sequence[Sequence[float]], readers: Sequence[Sequence[float]] | None = None
) -> tuple[ChannelGroup, Evidence]:
    """One group whose channels are computed by `rows`, read by one output or by the given matrix."""
    reader = readers or [[1.0] * len(rows)]
    _, analysis, evidence = chain(rows, reader)
    return analysis.groups[0], evidence


SIX_FILTERS = [(0.0, 0.0), (1.0, 0.0), (1.0, 3.0), (4.0, 1.0), (6.0, 5.0), (-2.0, -2.0)]
"""Six points in the plane on which distance rules can be followed by hand."""
