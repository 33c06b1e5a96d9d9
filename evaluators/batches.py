"""Batches from a split, normalised and augmented on the device, a whole batch at a time.

Shape legend: N samples of the split, B of a batch, C channels, H height, W width.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from evaluators.split import Split


class Batches:
    """Reads batches of one split.

    Random numbers come from a generator on the processor, so that every device sees the same batches.
    """

    def __init__(self, split: Split) -> None:
        self.split = split
        scale = 1.0 if split.images.is_floating_point() else 255.0
        shape = (1, -1, 1, 1)
        std = torch.tensor(split.std, device=split.device).view(shape)
        mean = torch.tensor(split.mean, device=split.device).view(shape)
        self._factor, self._shift = 1.0 / (scale * std), mean / std

    def plain(self, indices_B: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, H, W), float32, and their labels (B,)."""
        if isinstance(indices_B, Tensor):
            indices_B = indices_B.to(self.split.device)
        return self._normalised(self.split.images[indices_B]), self.split.labels[indices_B]

    def augmented(self, indices_B: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As `plain`, after the split's augmentation."""
        indices_B = indices_B.to(self.split.device)
        images = _augmented(self.split.images[indices_B], self.split.augment, generator)
        return self._normalised(images), self.split.labels[indices_B]

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The whole split once, plain."""
        for start in range(0, len(self.split), batch_size):
            yield self.plain(slice(start, start + batch_size))

    def sample(
        self, num_samples: int, *, batch_size: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Different samples, plain, in batches whose sizes differ by one at most.

        Args:
            num_samples: the whole split, if it has fewer.
            batch_size: no batch is larger.
            generator: on the processor; decides which samples.
        """
        indices = torch.randperm(len(self.split), generator=generator)[:num_samples]
        for part in indices.tensor_split(-(-len(indices) // batch_size)):
            yield self.plain(part)

    def _normalised(self, images_BCHW: Tensor) -> Tensor:
        # Channels last: convolutions follow their input's layout, and run faster.
        images = images_BCHW.float().contiguous(memory_format=torch.channels_last)
        return torch.addcmul(-self._shift, images, self._factor)


def endless_indices(num_samples: int, *, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of indices, epoch after epoch, each epoch in a new order; the rest that fills no batch is left out."""
    batch_size = min(batch_size, num_samples)
    while True:
        order = torch.randperm(num_samples, generator=generator)
        for start in range(0, num_samples - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def _augmented(images_BCHW: Tensor, augment: str, generator: torch.Generator) -> Tensor:
    """Shifted and mirrored images; what comes in at the border is black.

    One gather does both: image b shows padded[b, :, row_b + h, column_b + w], the columns backwards where mirrored.
    """
    if augment == "none":
        return images_BCHW
    batch, _, height, width = images_BCHW.shape
    device = images_BCHW.device
    pad = max(1, height // 8) if "crop" in augment else 0
    offsets = torch.randint(0, 2 * pad + 1, (2, batch, 1), generator=generator).to(device)
    rows_BH = offsets[0] + torch.arange(height, device=device)
    columns_BW = torch.arange(width, device=device).expand(batch, -1)
    if "flip" in augment:
        mirrored = (torch.rand(batch, 1, generator=generator) < 0.5).to(device)
        columns_BW = torch.where(mirrored, width - 1 - columns_BW, columns_BW)
    columns_BW = offsets[1] + columns_BW
    padded = functional.pad(images_BCHW, (pad, pad, pad, pad))
    each = torch.arange(batch, device=device)[:, None, None]
    return padded[each, :, rows_BH[:, :, None], columns_BW[:, None, :]].permute(0, 3, 1, 2)
