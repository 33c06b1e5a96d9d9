"""Decoded data in Ray's object store: one copy per machine, which all its workers read."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evaluators.split import Augment, Split, Splits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedSplit:
    """A split as arrays, which pickle keeps out of its stream: reading one from the store copies nothing.

    A torch tensor would be copied into every process that reads it.
    """

    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment

    @classmethod
    def of(cls, split: Split) -> "SharedSplit":
        """The split's values; its own memory, on the processor, where that has a plain layout."""
        # numpy has no bfloat16; batches are made float32 anyway
        images = split.images.float() if split.images.dtype == torch.bfloat16 else split.images
        return cls(
            images=np.ascontiguousarray(images.numpy()),  # others would be copied after all
            labels=np.ascontiguousarray(split.labels.numpy()),
            mean=split.mean,
            std=split.std,
            augment=split.augment,
        )

    def split(self) -> Split:
        """Tensors on the arrays' memory. Nothing may write to them; nothing in `evaluators` does."""
        with warnings.catch_warnings():
            # torch can't mark a tensor as read-only and warns of it
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            images, labels = torch.from_numpy(self.images), torch.from_numpy(self.labels)
        return Split(images=images, labels=labels, mean=self.mean, std=self.std, augment=self.augment)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedSplits:
    """What workers read: train and search split."""

    train: SharedSplit
    search: SharedSplit
    num_classes: int
    class_names: tuple[str, ...]

    @classmethod
    def of(cls, splits: Splits) -> "SharedSplits":
        """The splits' values."""
        return cls(
            train=SharedSplit.of(splits.train),
            search=SharedSplit.of(splits.search),
            num_classes=splits.num_classes,
            class_names=splits.class_names,
        )

    def splits(self) -> Splits:
        """Tensors on the arrays' memory; see `SharedSplit.split`."""
        return Splits(
            train=self.train.split(),
            search=self.search.split(),
            num_classes=self.num_classes,
            class_names=self.class_names,
        )
