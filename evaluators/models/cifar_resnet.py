"""Residual networks of 6n + 2 layers for 32 x 32 images, with the parameter-free shortcut (option A).

Source: arXiv 1512.03385, section 4.2. Names of the tensors are those of the most used public checkpoints:
conv1, bn1, layer1.0.conv1, ..., linear.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluators.registries import MODELS

PAPER = "arXiv:1512.03385"


class ZeroPadShortcut(nn.Module):
    """Every second pixel, between channels of zeros: (B, C, H, W) -> (B, front + C + back, H / 2, W / 2).

    The zeros are two buffers, so that cutting a channel of the sum cuts one element of them, or one of the input: no
    number of channels is written in code. They are not part of the state dict, which stays as published.
    """

    front: Tensor
    back: Tensor

    def __init__(self, *, num_front: int, num_back: int) -> None:
        super().__init__()
        self.register_buffer("front", torch.zeros(num_front), persistent=False)
        self.register_buffer("back", torch.zeros(num_back), persistent=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shortened and widened input."""
        x_BCHW = x_BCHW[:, :, ::2, ::2]
        batch, _, height, width = x_BCHW.shape
        front = self.front[None, :, None, None].expand(batch, -1, height, width)
        back = self.back[None, :, None, None].expand(batch, -1, height, width)
        return torch.cat([front, x_BCHW, back], dim=1)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norms, added to the shortcut."""

    def __init__(self, num_inputs: int, num_outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(num_inputs, num_outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(num_outputs)
        self.conv2 = nn.Conv2d(num_outputs, num_outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(num_outputs)
        extra = num_outputs - num_inputs
        self.shortcut: nn.Module = (
            nn.Identity() if stride == 1 else ZeroPadShortcut(num_front=extra // 2, num_back=extra - extra // 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The block's output, after the last rectifier."""
        out = functional.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return functional.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """Three stages of n blocks with `width`, 2 `width` and 4 `width` channels, halving the image between them."""

    def __init__(self, *, num_blocks: int, width: int, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, num_blocks=num_blocks, stride=1)
        self.layer2 = _stage(width, 2 * width, num_blocks=num_blocks, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, num_blocks=num_blocks, stride=2)
        self.linear = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, num_classes)."""
        out = functional.relu(self.bn1(self.conv1(x_BCHW)))
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def _stage(num_inputs: int, num_outputs: int, *, num_blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(num_inputs, num_outputs, stride=stride)
    rest = [BasicBlock(num_outputs, num_outputs, stride=1) for _ in range(num_blocks - 1)]
    return nn.Sequential(first, *rest)


@MODELS.register("cifar_resnet", paper=PAPER)
def cifar_resnet(*, num_classes: int, in_channels: int = 3, depth: int = 20, width: int = 16) -> CifarResNet:
    """ResNet of `depth` = 6n + 2 layers for 32 x 32 images; `width` channels in the first stage.

    Raises:
        ValueError: the depth is not of the form 6n + 2, or the width is not positive.
    """
    if depth < 8 or (depth - 2) % 6:
        lower = max(8, depth - (depth - 2) % 6)
        raise ValueError(f"depth must be 6n + 2 (8, 14, 20, ...), got {depth}; nearest below: {lower}")
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return CifarResNet(num_blocks=(depth - 2) // 6, width=width, num_classes=num_classes, in_channels=in_channels)


def _register(depth: int) -> None:
    factory = partial(cifar_resnet, depth=depth)
    factory.__doc__ = f"ResNet-{depth} for 32 x 32 images, zero-padded shortcuts."
    MODELS.register(f"resnet{depth}", paper=PAPER)(factory)


for _depth in (20, 32, 44, 56, 110):
    _register(_depth)
