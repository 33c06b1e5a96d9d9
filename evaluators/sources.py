"""What a data set's function returns, and how it becomes tensors.

A data set is a function of the user's parameters that returns three sources, in the order train, search, test, alone or
as `Sources`. A source is one of

- (images, labels): images (N, C, H, W) uint8 or normalised floating point, labels (N,) whole numbers from 0;
- a map-style data set: `len(d)` and `d[i]` = (image, label), the image a PIL image, an array (H, W, C) or a tensor
  (C, H, W); where it has `targets`, the labels of all samples, a limit reads only the samples it needs;
- a function without arguments that returns one of these, called only when the part is needed.

Images come without augmentation: that runs on the device, anew for every epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from evaluators.partition import Arrays, stratified
from evaluators.split import AUGMENTS, Augment, Split
from spaces import UserError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Three sources and what is known about them.

    Attributes:
        train: what weights are trained on.
        search: what candidates are scored on.
        test: what an exported network is measured on, once; read by `load_test` alone.
        class_names: in the order of the labels; empty: the labels' largest decides how many there are.
        mean: per channel, of images in [0, 1]; None: ImageNet's for uint8 images of three channels, (x - 0.5) / 0.5 for
            other uint8 images, nothing for floating point.
        std: likewise.
        augment: what training does to the images unless the user says otherwise.
    """

    train: Any
    search: Any
    test: Any
    class_names: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    augment: Augment = "none"


@runtime_checkable
class Decodable(Protocol):
    """A source of files: `targets` are known at once, images decoded on demand."""

    targets: Tensor

    def decode(self, indices: Tensor) -> Tensor:
        """Images (N, C, H, W), uint8, of the samples `indices`."""


def read_source(source: Any, *, limit: int | None, key: str) -> Arrays:
    """Images (N, C, H, W) and labels (N,) of a source; no more than `limit` samples, classes in proportion.

    Raises:
        UserError: the source is none of the kinds that this module's docstring lists.
    """
    if callable(source) and not hasattr(source, "__getitem__"):
        source = source()
    if isinstance(source, tuple) and len(source) == 2:
        images, labels = (torch.as_tensor(part) for part in source)
        labels = labels.to(torch.int64)
        indices = stratified(labels, len(labels) if limit is None else limit)
        return (images, labels) if len(indices) == len(labels) else (images[indices], labels[indices])
    if isinstance(source, Decodable):
        indices = stratified(source.targets, len(source.targets) if limit is None else limit)
        return source.decode(indices), source.targets[indices]
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return _read_map_style(source, limit=limit)
    rule = f"must be (images, labels), a map-style data set, or a function returning one; is {type(source).__name__}"
    raise UserError(key, None, rule)


def to_split(arrays: Arrays, sources: Sources, options: Mapping[str, Any], *, key: str) -> Split:
    """A split with the normalisation and augmentation that the user asks for, else the data set's own.

    Raises:
        UserError: images, labels or options do not fit together.
    """
    images, labels = arrays
    channels = images.shape[1] if images.ndim == 4 else 0
    mean, std = _normalisation(images, channels, sources)
    augment = options.get("augment", sources.augment)
    if augment not in AUGMENTS:
        raise UserError("data.params.augment", augment, "unknown augmentation", choices=AUGMENTS)
    try:
        return Split(
            images=images,
            labels=labels,
            mean=_per_channel(options.get("mean", mean), channels),
            std=_per_channel(options.get("std", std), channels),
            augment=augment,
        )
    except (ValueError, TypeError) as error:
        raise UserError(key, None, str(error)) from error


def _normalisation(images: Tensor, channels: int, sources: Sources) -> tuple[Any, Any]:
    if sources.mean is not None and sources.std is not None:
        return sources.mean, sources.std
    if images.is_floating_point():
        return 0.0, 1.0
    return (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else (0.5, 0.5)


def _per_channel(value: Any, channels: int) -> tuple[float, ...]:
    values = (value,) if isinstance(value, int | float) else tuple(value)
    values = values * channels if len(values) == 1 else values
    return tuple(float(v) for v in values)


def _read_map_style(source: Any, *, limit: int | None) -> Arrays:
    indices = torch.arange(len(source))
    if limit is not None and hasattr(source, "targets"):
        indices = stratified(torch.as_tensor(source.targets), limit)
    samples = [source[int(index)] for index in indices]
    images = torch.stack([_image_tensor(image) for image, _ in samples])
    labels = torch.tensor([int(label) for _, label in samples], dtype=torch.int64)
    if limit is not None and limit < len(labels):
        chosen = stratified(labels, limit)
        images, labels = images[chosen], labels[chosen]
    return images, labels


def _image_tensor(image: Any) -> Tensor:
    """(C, H, W) from a tensor (C, H, W), or from a PIL image or array (H, W) or (H, W, C)."""
    if isinstance(image, Tensor):
        return image
    array: Callable[..., Any] = np.array
    tensor = torch.from_numpy(array(image))
    return tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1).contiguous()
