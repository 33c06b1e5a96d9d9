"""Your own network and your own data: two functions.

In this folder, say

    model: {name: "own_model_and_data:build_model", width: 8}
    data: {name: "own_model_and_data:load_data"}
    train: {epochs: 3}

A network is a function with a parameter `num_classes` (and `in_channels`, where it can take several) that returns a
torch.nn.Module. Data is a function that returns three sources: train, search (candidates are scored on it) and test
(read once, for what is exported). A source is (images, labels), a map-style data set, or a function that returns one of
them; `evaluators.sources.Sources` adds class names, normalisation and augmentation.
"""

import torch
from torch import Tensor, nn

from evaluators.sources import Sources

DIRECTIONS = ("horizontal", "vertical", "diagonal")


def build_model(*, num_classes: int, in_channels: int = 1, width: int = 8) -> nn.Module:
    """Three convolutions and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, num_classes),
    )


def load_data(*, num_samples: int = 300, noise: int = 120) -> Sources:
    """Stripes in three directions under noise, 12 x 12 grey pixels."""
    return Sources(
        train=_stripes(2 * num_samples, noise=noise, seed=0),
        search=_stripes(num_samples, noise=noise, seed=1),
        test=lambda: _stripes(num_samples, noise=noise, seed=2),
        class_names=DIRECTIONS,
    )


def _stripes(num_samples: int, *, noise: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 12, 12), uint8, and labels (N,)."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_samples) % len(DIRECTIONS)
    rows, columns = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    position = torch.stack([rows, columns, rows + columns])[labels]
    phase = torch.randint(0, 4, (num_samples, 1, 1), generator=generator)
    stripes = ((position + phase) // 2 % 2) * (255 - noise)
    speckles = torch.randint(0, noise + 1, stripes.shape, generator=generator)
    return (stripes + speckles).to(torch.uint8)[:, None], labels
