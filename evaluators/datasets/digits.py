"""Handwritten digits of 8 x 8 pixels; nothing is downloaded."""

import torch

from evaluators.partition import carved
from evaluators.registries import DATASETS
from evaluators.sources import Sources


@DATASETS.register("digits", paper="https://archive.ics.uci.edu/dataset/80")
def digits(*, channels: int = 1, search_fraction: float = 0.2) -> Sources:
    """scikit-learn's 1,797 grey digits of 8 x 8: 60 % train, 20 % search, 20 % test.

    Args:
        channels: 3 repeats the grey values for networks that want colours.
        search_fraction: of all samples, for search and for test each.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = torch.from_numpy(bunch.images).mul(255 / 16).round().to(torch.uint8)[:, None]
    images, labels = grey.repeat(1, channels, 1, 1), torch.from_numpy(bunch.target).to(torch.int64)
    rest, test = carved(labels, search_fraction)
    stay, apart = carved(labels[rest], min(0.99, search_fraction / (1 - search_fraction)))
    train, search = rest[stay], rest[apart]
    return Sources(
        train=(images[train], labels[train]),
        search=(images[search], labels[search]),
        test=(images[test], labels[test]),
        class_names=tuple(str(name) for name in bunch.target_names),
        mean=(0.305,) * channels,
        std=(0.376,) * channels,
        augment="crop",
    )
