"""Small networks, one per pattern that a cut can get wrong. Each answers (network in eval mode, example input)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Network = tuple[nn.Module, Any]
PATTERNS: dict[str, Callable[[], Network]] = {}


def pattern(build: Callable[[], Network]) -> Callable[[], Network]:
    PATTERNS[build.__name__] = build
    return build


class Lambda(nn.Module):
    """A forward pass over named layers."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self._function = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self._function(self, x)


def image(channels: int = 3, size: int = 8) -> Tensor:
    return torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(7))


def block(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def head(features: int, classes: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes))


@pattern
def plain() -> Network:
    return nn.Sequential(block(3, 8), nn.MaxPool2d(2), block(8, 12), head(12)), image()


@pattern
def bias_and_prelu() -> Network:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.PReLU(8), nn.Conv2d(8, 6, 3), nn.PReLU(), head(6)), image()


@pattern
def flatten() -> Network:
    return nn.Sequential(block(3, 6), nn.Flatten(), nn.Linear(6 * 64, 10), nn.ReLU(), nn.Linear(10, 5)), image()


@pattern
def residual() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(x + self.second(self.first(x)))
        return self.head(F.relu(self.shortcut(x) + self.third(x)))

    layers = {"first": block(8, 6), "second": block(6, 8), "third": block(8, 10, stride=2)}
    shortcut = nn.Conv2d(8, 10, 1, stride=2)
    return Lambda(forward, stem=block(3, 8), shortcut=shortcut, head=head(10), **layers), image()


@pattern
def zero_padded_shortcut() -> Network:
    """Each stage adds constant channels: padded on both sides, then behind only."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.first(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
        x = F.relu(self.second(x) + F.pad(x, (0, 0, 0, 0, 0, 4)))
        return self.head(x)

    return Lambda(forward, stem=block(3, 4), first=block(4, 8, stride=2), second=block(8, 12), head=head(12)), image()


@pattern
def concatenated_zeros() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        shortcut = torch.cat([x, torch.zeros_like(x)], dim=1)
        return self.head(F.relu(self.wide(x) + shortcut))

    return Lambda(forward, stem=block(3, 6), wide=block(6, 12), head=head(12)), image()


@pattern
def dense_block() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        for layer in (self.first, self.second, self.third):
            x = torch.cat([x, layer(x)], 1)
        return self.head(self.mix(x))

    layers = {"first": block(4, 3), "second": block(7, 3), "third": block(10, 3), "mix": block(13, 8, 1)}
    return nn.Sequential(block(3, 4), Lambda(forward, head=head(8), **layers)), image()


@pattern
def shared_module() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.shared(F.relu(self.shared(x))))

    return Lambda(forward, stem=block(3, 8), shared=nn.Conv2d(8, 8, 3, padding=1), head=head(8)), image()


@pattern
def shared_between_parents() -> Network:
    """thop hooks such a module once per parent and adds it up as often: four times what it costs."""
    shared = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
    return nn.Sequential(block(3, 8), nn.Sequential(shared, nn.ReLU()), nn.Sequential(shared), head(8)), image()


@pattern
def tied_weights() -> Network:
    """One parameter under two names."""
    first, second = nn.Linear(6, 9, bias=False), nn.Linear(6, 9, bias=False)
    second.weight = first.weight

    def forward(self: Any, x: Tensor) -> Tensor:
        return self.out(F.relu(self.first(x)) * torch.sigmoid(self.second(x)))

    return Lambda(forward, first=first, second=second, out=nn.Linear(9, 4)), torch.randn(1, 6)


class Functional(nn.Module):
    """Weights outside any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3))
        self.shift = nn.Parameter(torch.randn(8))
        self.gain = nn.Parameter(torch.randn(8, 1, 1))
        self.matrix = nn.Parameter(torch.randn(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.kernel, self.shift, padding=1)) * self.gain
        return x.mean((2, 3)) @ self.matrix


@pattern
def functional_convolution() -> Network:
    return Functional(), image()


@pattern
def slices() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(torch.cat([self.left(x[:, :, :4]), self.right(x[:, :, 4:])], 2))

    return Lambda(forward, stem=block(3, 8), left=block(8, 6), right=block(8, 6), head=head(6)), image()


@pattern
def channel_slices() -> Network:
    """A cut of the sliced channels moves the fixed border, so they may stay dense, but nothing may go wrong."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(torch.cat([self.left(x[:, :3]), self.right(x[:, 3:])], 1))

    return Lambda(forward, stem=block(3, 8), left=block(3, 6), right=block(5, 4), head=head(10)), image()


@pattern
def halves() -> Network:
    """Halves by shape: both must keep equally many channels."""

    def forward(self: Any, x: Tensor) -> Tensor:
        left, right = self.stem(x).chunk(2, dim=1)
        return self.head(torch.cat([left, self.right(right)], 1))

    return Lambda(forward, stem=block(3, 12), right=block(6, 8), head=head(14)), image()


@pattern
def channel_shuffle() -> Network:
    """Two shuffle units in a row: halves by shape, one of them passed through, then shuffled."""

    def unit(self: Any, x: Tensor, layer: nn.Module) -> Tensor:
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, layer(right)], 1)
        batch, channels, height, width = x.shape
        return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(x.shape)

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in (self.first, self.second, self.third):
            x = unit(self, x, layer)
        return self.head(x)

    layers = {name: nn.Sequential(block(8, 6, 1), block(6, 8)) for name in ("first", "second", "third")}
    return Lambda(forward, stem=block(3, 16), head=head(16), **layers), image()


@pattern
def gated_halves() -> Network:
    return nn.Sequential(block(3, 8), nn.Conv2d(8, 12, 1), nn.GLU(dim=1), head(6)), image()


@pattern
def squeeze_excite() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.head(x * gate)

    return Lambda(forward, stem=block(3, 8), down=nn.Conv2d(8, 4, 1), up=nn.Conv2d(4, 8, 1), head=head(8)), image()


@pattern
def spatial_attention() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(x * torch.sigmoid(self.attention(x)))

    return Lambda(forward, stem=block(3, 8), attention=nn.Conv2d(8, 1, 3, padding=1), head=head(8)), image()


@pattern
def depthwise() -> Network:
    return nn.Sequential(block(3, 8), block(8, 8, groups=8), block(8, 6, 1), head(6)), image()


@pattern
def depthwise_multiplier() -> Network:
    return nn.Sequential(block(3, 6), block(6, 18, groups=6), block(18, 5, 1), head(5)), image()


@pattern
def grouped() -> Network:
    return nn.Sequential(block(3, 8), block(8, 12, groups=4), block(12, 6, groups=2), head(6)), image()


@pattern
def transposed() -> Network:
    up = nn.ConvTranspose2d(8, 6, 2, stride=2)
    return nn.Sequential(block(3, 8), nn.MaxPool2d(2), up, nn.ReLU(), nn.Conv2d(6, 2, 1)), image()


@pattern
def transposed_depthwise() -> Network:
    up = nn.ConvTranspose2d(8, 8, 2, stride=2, groups=8)
    return nn.Sequential(block(3, 8), nn.MaxPool2d(2), up, block(8, 6), head(6)), image()


class Sections(nn.Module):
    """Splits by its own number, as Res2Net does, then takes slices up to another and groups by a third."""

    def __init__(self) -> None:
        super().__init__()
        self.width, self.kept, self.channels, self.parts = 4, 5, 9, [3, 6]
        self.first, self.second = block(4, 4), block(4, 4)
        self.wide, self.left, self.right = block(8, 9), block(3, 5), block(6, 4)
        self.register_buffer("blur", torch.full((9, 1, 3, 3), 1 / 9))

    def forward(self, x: Tensor) -> Tensor:
        one, two = torch.split(x, self.width, 1)
        x = self.wide(torch.cat([self.first(one), self.second(two)], 1))
        x = F.conv2d(x, self.blur, padding=1, groups=self.channels)
        small, large = x.split(self.parts, 1)
        x = torch.cat([self.left(small), self.right(large)], 1)
        return torch.cat([F.relu(x[:, : self.kept]), x[:, self.kept :]], 1)


@pattern
def borders_by_attributes() -> Network:
    """Numbers that the module holds shrink with the channels that they count."""
    return nn.Sequential(block(3, 8), Sections(), head(9)), image()


@pattern
def pointless_number() -> Network:
    """A number that happens to equal a border but means something else: nothing may go wrong."""

    class Powers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.power = 4

        def forward(self, x: Tensor) -> Tensor:
            left, right = x.chunk(2, 1)
            return left.abs() ** self.power + right

    return nn.Sequential(block(3, 8), Powers(), block(4, 6), head(6)), image()


class Transposed(nn.Module):
    """A linear layer by another one's weight, from its outputs to its inputs."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t())


@pattern
def tied_decoder() -> Network:
    """One parameter whose rows compute channels in one place and read them in another."""
    code = nn.Linear(6, 7, bias=False)

    def forward(self: Any, x: Tensor) -> Tensor:
        return self.out(F.relu(self.decode(F.relu(self.code(F.relu(self.into(x)))))))

    layers = {"into": nn.Linear(4, 6), "decode": Transposed(code.weight), "out": nn.Linear(6, 3)}
    return Lambda(forward, code=code, **layers), torch.randn(1, 4)
