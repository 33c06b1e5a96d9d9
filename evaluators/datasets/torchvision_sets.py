"""The small data sets that torchvision knows; they are downloaded only when the user says so."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from evaluators.cache import cache_dir
from evaluators.partition import three_sources
from evaluators.registries import DATASETS
from evaluators.sources import Sources
from evaluators.split import Augment
from spaces import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    name: str
    class_name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment
    paper: str
    summary: str


_KNOWN = (
    _Known(
        name="cifar10",
        class_name="CIFAR10",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        augment="crop_flip",
        paper="Krizhevsky 2009",
        summary="60,000 photographs of 32 x 32 in 10 classes.",
    ),
    _Known(
        name="cifar100",
        class_name="CIFAR100",
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        augment="crop_flip",
        paper="Krizhevsky 2009",
        summary="60,000 photographs of 32 x 32 in 100 classes.",
    ),
    _Known(
        name="mnist",
        class_name="MNIST",
        mean=(0.1307,),
        std=(0.3081,),
        augment="crop",
        paper="LeCun et al. 1998",
        summary="70,000 handwritten digits of 28 x 28.",
    ),
    _Known(
        name="fashion_mnist",
        class_name="FashionMNIST",
        mean=(0.2860,),
        std=(0.3530,),
        augment="crop_flip",
        paper="arXiv:1708.07747",
        summary="70,000 grey pictures of clothes, 28 x 28, in 10 classes.",
    ),
    _Known(
        name="svhn",
        class_name="SVHN",
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        augment="crop",
        paper="Netzer et al. 2011",
        summary="99,289 house numbers of 32 x 32 in 10 classes.",
    ),
)


def _sources(
    *,
    known: _Known,
    root: str | None = None,
    download: bool = False,
    channels: int | None = None,
    search_from: str = "train",
    search_fraction: float = 0.1,
) -> Sources:
    read = partial(_read, known, root or str(cache_dir() / "data"), download)
    dataset = read(True)
    train = _arrays(dataset, channels)
    num_channels = train[0].shape[1]
    return Sources(
        **three_sources(
            train,
            lambda: _arrays(read(False), channels),
            search_from=search_from,
            search_fraction=search_fraction,
        ),
        class_names=tuple(getattr(dataset, "classes", map(str, range(10)))),
        mean=known.mean * (num_channels // len(known.mean)),
        std=known.std * (num_channels // len(known.std)),
        augment=known.augment,
    )


def _read(known: _Known, root: str, download: bool, train: bool) -> Any:
    from torchvision import datasets

    part = {"split": "train" if train else "test"} if known.name == "svhn" else {"train": train}
    try:
        return getattr(datasets, known.class_name)(root=root, download=download, **part)
    except RuntimeError as error:
        if download:
            raise UserError("data.params.download", download, f"{known.name} can't be had: {error}") from error
        rule = f"holds no complete {known.name}; set data.params.download to true to fetch it there"
        raise UserError("data.params.root", root, rule) from error
    except OSError as error:
        raise UserError("data.params.root", root, f"{known.name} can't be stored or had: {error}") from error


def _arrays(dataset: Any, channels: int | None) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W), uint8, and labels, from torchvision's object; `channels` = 3 repeats grey values."""
    images = torch.as_tensor(dataset.data)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] != 3:
        images = images.permute(0, 3, 1, 2).contiguous()
    if channels not in (None, images.shape[1], 3):
        raise UserError("data.params.channels", channels, f"must be {images.shape[1]} or 3")
    if channels == 3:
        images = images.repeat(1, 3 // images.shape[1], 1, 1)
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    return images, torch.as_tensor(labels).to(torch.int64)


def _register(known: _Known) -> None:
    factory: Callable[..., Sources] = partial(_sources, known=known)
    factory.__doc__ = known.summary
    DATASETS.register(known.name, paper=known.paper)(factory)


for _known in _KNOWN:
    _register(_known)
