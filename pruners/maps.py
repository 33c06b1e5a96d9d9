"""Figures of single feature maps, which are costly and taken on few images without gradients."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pruners import figures
from pruners.figures import Averages, Key
from pruners.reads import CONVOLUTIONS, Read, Watch, maps_of, reads_of
from pruners.trace import evaluating
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Slice

CHUNK = 16
RANK_PIXELS = 2**16
"""Pixels per channel on which ranks are averaged: 64 images at 32 x 32, 4 or more at any size."""
NUCLEAR_WORK = 2**30
"""Channels x (smaller side)^3 spent on nuclear norms per group; 2 to 16 images."""
NUCLEAR_SIDE = 128
"""Where channels and pixels are both more than this, maps are averaged down to 8 x 8 first."""
FILTERS_PER_CHUNK = 4
POSITIONS = 10


def map_figures(model: nn.Module, groups: Sequence[ChannelGroup], images: Tensor) -> dict[Key, Tensor]:
    """Ranks (HRank), channel independence (CHIP) and contributions to the next layers (ThiNet) of every group."""
    averages = Averages()
    names = {piece.tensor for group in groups for piece in group.with_role("consumer")}
    weights = {name: tensor for name, tensor in named_tensors(model) if name in names}
    seen = 0
    for chunk in images.to(next(model.parameters()).device).split(CHUNK):
        with evaluating(model), torch.no_grad(), Watch(weights) as watch:
            model(chunk)
        for group in groups:
            found = reads_of(group, watch.reads)
            if found:
                _add_maps(averages, group, *found[0], seen)
            for index, (piece, read) in enumerate(found):
                for rows in _contributions(piece, read, seed=f"{group.name}/{index}/{seen}"):
                    averages.add(group.name, figures.CONTRIBUTIONS, rows.T @ rows)
        seen += len(chunk)
    return averages.means()


def _add_maps(averages: Averages, group: ChannelGroup, piece: Slice, read: Read, seen: int) -> None:
    maps = maps_of(read.source, piece, read)
    wanted = max(4, RANK_PIXELS // maps[0, 0].numel()) - seen
    if wanted > 0:
        ranks = torch.linalg.matrix_rank(maps[:wanted].float()).float().mean(dim=(0, 2))
        averages.add(group.name, figures.RANK, ranks, weight=len(maps[:wanted]))
    rows = _limited(maps)
    side = min(rows.shape[1:])
    wanted = min(16, max(2, NUCLEAR_WORK // (group.width * side**3))) - seen
    for image in rows[: max(wanted, 0)]:
        averages.add(group.name, figures.INDEPENDENCE, channel_independence(image))


def _limited(maps: Tensor) -> Tensor:
    """One row of pixels per channel, shape (samples, width, pixels), few enough for many decompositions."""
    if min(maps.size(1), maps[0, 0].numel()) > NUCLEAR_SIDE:
        maps = functional.adaptive_avg_pool2d(maps.flatten(2, 3), (8 * maps.size(2), 8))
    return maps.flatten(2).double()


def channel_independence(rows: Tensor) -> Tensor:
    """How much of the nuclear norm goes with each channel, shape (width,); rows of shape (width, pixels), float64.

    Source: CHIP, arXiv:2110.13981. The nuclear norm without a row is taken from the eigenvalues of the
    smaller Gram matrix with that row's share taken out.
    """
    width, pixels = rows.shape
    if pixels <= width:
        products = rows.T @ rows
        without = products - rows[:, :, None] * rows[:, None, :]
    else:
        products = rows @ rows.T
        keep = 1 - torch.eye(width, dtype=rows.dtype, device=rows.device)
        without = products * keep[:, :, None] * keep[:, None, :]
    return _nuclear(products) - _nuclear(without)


def _nuclear(products: Tensor) -> Tensor:
    """Sum of square roots of the eigenvalues of (..., n, n) Gram matrices."""
    values: Tensor = torch.linalg.eigvalsh(products).clamp_min(0).sqrt().sum(dim=-1)
    return values


def _contributions(piece: Slice, read: Read, *, seed: str) -> Iterator[Tensor]:
    """What each channel adds to randomly drawn outputs of the layer that reads it, shape (outputs, width), float32.

    Source: ThiNet, arXiv:1707.06342, equation 5: one filter and one position at a time, without the bias.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(seed.encode()))
    if read.func not in (*CONVOLUTIONS, functional.linear):
        return
    for chosen in torch.randint(read.weight.size(0), (FILTERS_PER_CHUNK,), generator=generator).tolist():
        products = _products(read, chosen)
        positions = torch.tensor(piece.positions, dtype=torch.int64, device=products.device)
        rows = products.index_select(1, positions.reshape(-1)).unflatten(1, tuple(positions.shape))
        rows = rows.flatten(3).sum(dim=2) if rows.dim() > 3 else rows.sum(dim=2)[:, :, None]
        places = torch.randperm(rows.size(2), generator=generator)[:POSITIONS].to(rows.device)
        yield rows.index_select(2, places).transpose(1, 2).flatten(0, 1).float()


def _products(read: Read, chosen: int) -> Tensor:
    """Products of one filter with each of its inputs, (samples, inputs of the filter, ...positions)."""
    weight = read.weight[chosen]
    if read.func is functional.linear:
        products = read.source * weight
        return products if products.dim() == 2 else products.flatten(1, -2).transpose(1, 2)
    inputs = weight.size(0)
    first = chosen // (read.weight.size(0) // read.num_conv_groups) * inputs
    options: dict[str, Any] = {**read.options, "groups": inputs}
    return read.func(read.source[:, first : first + inputs], weight[:, None], None, **options)
