"""More patterns: what real code bases do around their layers."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.contract.small_networks import Lambda, Network, block, head, image, pattern


@pattern
def one_dimension() -> Network:
    first, second = nn.Conv1d(4, 10, 3, padding=1), nn.Conv1d(10, 6, 3)
    layers = [first, nn.BatchNorm1d(10), nn.ReLU(), nn.AvgPool1d(2), second, nn.AdaptiveAvgPool1d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(6, 3)), torch.randn(1, 4, 16)


@pattern
def three_dimensions() -> Network:
    first, second = nn.Conv3d(2, 6, 3, padding=1), nn.Conv3d(6, 8, 3, padding=1)
    layers = [first, nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2), second, nn.AdaptiveAvgPool3d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8, 3)), torch.randn(1, 2, 6, 6, 6)


@pattern
def group_norm() -> Network:
    """Whole norm groups go."""
    return nn.Sequential(nn.Conv2d(3, 12, 3), nn.GroupNorm(4, 12), nn.ReLU(), nn.Conv2d(12, 6, 3), head(6)), image()


@pattern
def instance_norm() -> Network:
    norm = nn.InstanceNorm2d(8, affine=True)
    return nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 6, 3), head(6)), image()


@pattern
def layer_norm() -> Network:
    """What a layer norm normalises stays; the hidden width of the MLP behind it goes."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        return self.head(x.mean(1))

    layers = {"norm": nn.LayerNorm(8), "up": nn.Linear(8, 16), "down": nn.Linear(16, 8), "head": nn.Linear(8, 5)}
    return Lambda(forward, embed=nn.Conv2d(3, 8, 4, stride=4), **layers), image()


@pattern
def self_attention() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head((x + self.down(F.gelu(self.up(x)))).mean(1))

    layers = {"up": nn.Linear(8, 16), "down": nn.Linear(16, 8), "head": nn.Linear(8, 5)}
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    return Lambda(forward, embed=nn.Conv2d(3, 8, 4, stride=4), attention=attention, **layers), image()


@pattern
def token_mixing() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2)
        x = x + self.down(F.gelu(self.up(x)))
        return self.head(x.mean(2))

    layers = {"up": nn.Linear(4, 10), "down": nn.Linear(10, 4), "head": nn.Linear(8, 5)}
    return Lambda(forward, embed=nn.Conv2d(3, 8, 4, stride=4), **layers), image()


@pattern
def layer_scale_and_drop_path() -> Network:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = block(8, 8)
            self.gamma = nn.Parameter(torch.rand(8, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            out = self.gamma * self.convolution(x)
            if self.training:
                out = out * torch.empty(len(x), 1, 1, 1).bernoulli_(0.9)
            return x + out

    return nn.Sequential(block(3, 8), Block(), block(8, 6), head(6)), image()


@pattern
def upsample_and_skip() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        high = self.stem(x)
        low = self.low(F.max_pool2d(high, 2))
        low = F.interpolate(low, scale_factor=2, mode="bilinear")
        return self.out(self.merge(torch.cat([high, low], 1)))

    layers = {"low": block(6, 10), "merge": block(16, 8), "out": nn.Conv2d(8, 2, 1)}
    return Lambda(forward, stem=block(3, 6), **layers), image()


@pattern
def pixel_shuffle() -> Network:
    """Four channels become one: they go together."""
    return nn.Sequential(block(3, 16), nn.PixelShuffle(2), block(4, 6), head(6)), image()


@pattern
def several_outputs() -> Network:
    def forward(self: Any, x: Tensor) -> Any:
        x = self.stem(x)
        return {"classes": self.head(x), "boxes": [self.boxes(x)]}

    return Lambda(forward, stem=block(3, 8), head=head(8), boxes=nn.Conv2d(8, 4, 1)), image()


@pattern
def features_are_the_output() -> Network:
    """The last layer's channels are what the user gets, so they stay."""
    return nn.Sequential(block(3, 8), block(8, 6)), image()


@pattern
def unused_layer() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.head(self.stem(x))

    return Lambda(forward, stem=block(3, 8), auxiliary=block(8, 4), head=head(8)), image()


@pattern
def two_inputs() -> Network:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.head = block(3, 6), block(1, 6), head(6)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.head(self.left(left) + self.right(right))

    return Two(), (image(), image(1))


@pattern
def weight_norm() -> Network:
    """Weights computed in the forward pass stay, the layers around them go."""
    middle = parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1))
    return nn.Sequential(block(3, 8), middle, nn.ReLU(), block(8, 10), block(10, 6), head(6)), image()


class StandardisedConv2d(nn.Conv2d):
    """Every filter normalised over its own entries."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, padding=1)


@pattern
def weight_standardisation() -> Network:
    return nn.Sequential(block(3, 8), StandardisedConv2d(8, 8, 3), nn.ReLU(), block(8, 10), head(10)), image()


@pattern
def subclass_of_convolution() -> Network:
    """thop counts nothing for a subclass, the cost model must agree with both counters."""

    class MyConv(nn.Conv2d):
        pass

    return nn.Sequential(MyConv(3, 8, 3), nn.ReLU(), MyConv(8, 6, 3), head(6)), image()


@pattern
def frozen_batch_norm() -> Network:
    from torchvision.ops import FrozenBatchNorm2d

    layers = [nn.Conv2d(3, 8, 3, bias=False), FrozenBatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3)]
    return nn.Sequential(*layers, head(6)), image()


@pattern
def local_response_norm() -> Network:
    """Neighbouring channels act on each other, so they stay."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(3), nn.Conv2d(8, 6, 3), head(6)), image()


@pattern
def channel_attention_over_neighbours() -> Network:
    """Efficient channel attention: a convolution along the channels."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        gate = torch.sigmoid(self.gate(x.mean((2, 3))[:, None])).transpose(1, 2)[..., None]
        return self.head(self.last(x * gate))

    layers = {"gate": nn.Conv1d(1, 1, 3, padding=1), "last": block(8, 6), "head": head(6)}
    return Lambda(forward, stem=block(3, 8), **layers), image()


@pattern
def selective_kernels() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        branches = torch.stack([self.small(x), self.large(x)], 1)
        scores = self.up(F.relu(self.down(branches.sum(1).mean((2, 3), keepdim=True))))
        weights = scores.view(x.size(0), 2, -1, 1, 1).softmax(1)
        return self.head((branches * weights).sum(1))

    layers = {"small": block(8, 6, 3), "large": block(8, 6, 5), "down": nn.Conv2d(6, 4, 1), "up": nn.Conv2d(4, 12, 1)}
    return Lambda(forward, stem=block(3, 8), head=head(6), **layers), image()


@pattern
def in_place_everywhere() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        out = self.first(x)
        out += x
        out.mul_(2)
        out[:, :, :1] = 0
        return self.head(out)

    return Lambda(forward, stem=block(3, 8), first=nn.Conv2d(8, 8, 1), head=head(8)), image()


@pattern
def global_max_and_mean() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.out(torch.cat([x.amax((2, 3)), x.mean((2, 3)), x.flatten(2).max(2)[0]], 1))

    return Lambda(forward, stem=block(3, 8), out=nn.Linear(24, 5)), image()


@pattern
def einsum() -> Network:
    class Einsum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.last = block(3, 8), block(8, 6)
            self.matrix = nn.Parameter(torch.randn(6, 4))

        def forward(self, x: Tensor) -> Tensor:
            return torch.einsum("nchw,ck->nk", self.last(self.stem(x)), self.matrix)

    return Einsum(), image()


@pattern
def recurrent() -> Network:
    """No rule for the cell: it stays, the convolution in front of it too, the one before that goes."""

    def forward(self: Any, x: Tensor) -> Tensor:
        out, _ = self.cell(self.stem(x).mean(3).transpose(1, 2))
        return self.head(out[:, -1])

    stem = nn.Sequential(block(3, 8), block(8, 6))
    return Lambda(forward, stem=stem, cell=nn.LSTM(6, 7, batch_first=True), head=nn.Linear(7, 5)), image()


@pattern
def nothing_to_cut() -> Network:
    return nn.Linear(4, 3), torch.randn(1, 4)


class Attention(nn.Module):
    """Heads by attributes, as in timm: their number and the width of all of them."""

    def __init__(self, *, fused: bool, features: int = 6) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim, self.fused = 4, 2, 8, fused
        self.qkv, self.proj = nn.Linear(features, 24), nn.Linear(8, features)
        self.table = nn.Parameter(torch.randn(7, 4))
        self.register_buffer("index", (torch.arange(4)[:, None] - torch.arange(4)[None]) + 3)

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.size(0), x.size(1), 3, self.num_heads, self.head_dim)
        q, k, v = self.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(4, 4, -1).permute(2, 0, 1)[None]
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        else:
            x = (q @ k.transpose(-2, -1) + bias).softmax(-1) @ v
        return self.proj(x.transpose(1, 2).reshape(x.size(0), x.size(2), self.attn_dim))


def _heads(fused: bool) -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.attention(x)
        return self.head((x + self.down(F.gelu(self.up(x)))).mean(1))

    layers = {"up": nn.Linear(6, 16), "down": nn.Linear(16, 6), "head": nn.Linear(6, 5)}
    return Lambda(forward, embed=nn.Conv2d(3, 6, 4, stride=4), attention=Attention(fused=fused), **layers), image()


@pattern
def attention_heads() -> Network:
    return _heads(fused=True)


@pattern
def attention_heads_step_by_step() -> Network:
    return _heads(fused=False)


class WidthAttention(Attention):
    """The width of all heads is that of what comes in, as in torchvision's Swin: no head can go."""

    def __init__(self) -> None:
        super().__init__(fused=True, features=8)
        del self.head_dim, self.attn_dim

    def forward(self, x: Tensor) -> Tensor:
        width = x.size(-1)
        shape = (x.size(0), x.size(1), 3, self.num_heads, width // self.num_heads)
        q, k, v = self.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(x.size(0), x.size(2), width))


@pattern
def attention_heads_of_the_width() -> Network:
    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.norm(self.embed(x).flatten(2).transpose(1, 2))
        x = x + self.attention(x)
        return self.head((x + self.down(F.gelu(self.up(x)))).mean(1))

    layers = {"up": nn.Linear(8, 16), "down": nn.Linear(16, 8), "head": nn.Linear(8, 5), "norm": nn.LayerNorm(8)}
    return Lambda(forward, embed=nn.Conv2d(3, 8, 4, stride=4), attention=WidthAttention(), **layers), image()
