"""Three channels, two samples, and every figure of theirs worked out by hand.

channels a = relu(w x) with w = 1, 2, -1; output 3 a0 - a1 + 2 a2; the loss is the mean output.
samples x = 1 and x = -2: a = (1, 2, 0) and (0, 0, 2); activation x gradient = (3, -2, 0) and (0, 0, 4).
"""

import torch
from torch import Tensor, nn

from pruners import Analysis, Evidence, analyse, gather_evidence
from pruners.evidence import FROM_DATA
from spaces import ChannelGroup
from tests.oracle.toy import chain

SAMPLES = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
LABELS = torch.zeros(2, dtype=torch.int64)


def mean_output(output: Tensor, labels: Tensor) -> Tensor:
    return output.sum(dim=1).mean()


def three_channels(*, num_batches: int = 1) -> tuple[ChannelGroup, Evidence]:
    model, analysis, _ = chain([[1.0], [2.0], [-1.0]], [[3.0, -1.0, 2.0]])
    batches = list(zip(SAMPLES.chunk(num_batches), LABELS.chunk(num_batches), strict=True))
    evidence = gather_evidence(
        model, analysis, needs=FROM_DATA - {"blocks"} | {"weights"}, batches=batches, loss=mean_output
    )
    return analysis.groups[0], evidence


class Reader(nn.Module):
    """Hands the image's channels on as they are and reads them once."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.copy = nn.Conv2d(num_channels, num_channels, 1, bias=False)
        self.read = nn.Conv2d(num_channels, 2, 1, bias=False)
        self.copy.weight = nn.Parameter(torch.eye(num_channels)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.copy(x)).mean((2, 3))


def with_maps(image_CHW: Tensor) -> tuple[ChannelGroup, Evidence]:
    """A group whose channels' maps are the image's channels."""
    model = Reader(len(image_CHW)).eval()
    analysis: Analysis = analyse(model, image_CHW[None])
    batches = [(image_CHW[None], torch.zeros(1, dtype=torch.int64))]
    evidence = gather_evidence(model, analysis, needs=frozenset({"maps", "activations"}), batches=batches)
    return analysis.groups[0], evidence
