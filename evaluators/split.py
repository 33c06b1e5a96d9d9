"""One part of the data, decoded once: whole tensors on the device that computes."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

Augment: TypeAlias = Literal["none", "flip", "crop", "crop_flip"]
AUGMENTS: tuple[Augment, ...] = get_args(Augment)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Images and labels of one part.

    Attributes:
        images: (N, C, H, W), uint8, or floating point where they come that way.
        labels: (N,), int64.
        mean: per channel, of images scaled to [0, 1]; floating-point images are not scaled.
        std: likewise.
        augment: what training does to each image anew: `crop` shifts by up to an eighth of the height, `flip` mirrors.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment = "none"

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or len(self.images) == 0:
            raise ValueError(f"images must be (N, C, H, W) with N > 0, got {tuple(self.images.shape)}")
        if self.labels.shape != (len(self.images),) or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels must be {len(self.images)} int64, got {tuple(self.labels.shape)} {self.labels.dtype}"
            )
        if not len(self.mean) == len(self.std) == self.images.shape[1] or min(self.std) <= 0:
            raise ValueError(
                f"mean and std must have one value per channel ({self.images.shape[1]}) and std > 0, "
                f"got {self.mean} and {self.std}"
            )
        if self.augment not in AUGMENTS:
            raise ValueError(f"augment must be one of {', '.join(AUGMENTS)}, got {self.augment!r}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self.images.device

    def to(self, device: torch.device) -> "Split":
        """The same split on `device`."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splits:
    """What workers get: never the test split."""

    train: Split
    search: Split
    num_classes: int
    class_names: tuple[str, ...]

    @property
    def in_channels(self) -> int:
        """Channels of an image."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.train.images.shape[2], self.train.images.shape[3]
