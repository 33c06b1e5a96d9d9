"""How good a network is on a split, and batch-norm statistics that fit it."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from evaluators.batches import Batches
from evaluators.modes import cumulative_batch_norms, logits_of
from evaluators.precision import Precision, autocast
from evaluators.split import Split
from pruners.trace import evaluating

CPU_BATCH, GPU_BATCH = 50, 250
"""Images per pass without gradients: on a processor as many as its caches hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Measured on `num_samples` images.

    Attributes:
        accuracy: fraction of right answers in [0, 1]; higher is better.
        loss: mean cross-entropy in nats; lower is better.
        num_samples: how many images.
    """

    accuracy: float
    loss: float
    num_samples: int


def accuracy(
    model: nn.Module, split: Split, *, batch_size: int | None = None, precision: Precision = "float32"
) -> Score:
    """The score of `model`, which lies on the split's device and is given back as it was."""
    right = torch.zeros((), dtype=torch.int64, device=split.device)
    loss = torch.zeros((), dtype=torch.float64, device=split.device)
    with evaluating(model), torch.inference_mode(), autocast(split.device, precision):
        for images, labels in Batches(split).in_order(batch_size or score_batch(split.device)):
            logits = logits_of(model(images)).float()
            right += (logits.argmax(dim=1) == labels).sum()
            loss += functional.cross_entropy(logits, labels, reduction="sum")
    num_samples = len(split)
    return Score(accuracy=int(right) / num_samples, loss=float(loss) / num_samples, num_samples=num_samples)


def score_batch(device: torch.device) -> int:
    """Images per pass without gradients on `device`."""
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH


def recalibrate(
    model: nn.Module,
    split: Split,
    *,
    num_samples: int = 1024,
    batch_size: int = 128,
    precision: Precision = "float32",
    generator: torch.Generator,
) -> None:
    """Estimate the batch norms' statistics of `model` anew, in place; nothing else of it changes.

    Statistics of a pruned network are those of the network it came from; a few batches mend that and make the ranking
    of candidates close to the one after fine-tuning (arXiv 2007.02491, section 3.3). Each batch weighs the same. Images
    are not augmented, as those that are scored later. Networks without batch norms are left alone.
    """
    with cumulative_batch_norms(model) as any_norms, torch.no_grad(), autocast(split.device, precision):
        if not any_norms:
            return
        for images, _ in Batches(split).sample(num_samples, batch_size=batch_size, generator=generator):
            model(images)
