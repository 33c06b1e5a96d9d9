"""What a channel owns in a network that trains: sums over its live parameters, with gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pruners.evidence import batch_norm_weights
from pruners.tracer import named_tensors
from spaces import ChannelGroup, Slice


class Owned:
    """Looks the tensors of groups up once; a training changes their values in place."""

    def __init__(self, model: nn.Module, groups: Sequence[ChannelGroup]) -> None:
        wanted = {piece.tensor for group in groups for piece in group.slices}
        self._tensors = {name: tensor for name, tensor in named_tensors(model) if name in wanted}
        self._groups = tuple(groups)  # slices are known by their identity, so they have to live as long
        self._indices: dict[int, tuple[Tensor, Tensor]] = {}

    def squared_norms(self, group: ChannelGroup, pieces: Sequence[Slice]) -> Tensor:
        """Sum of squares of each channel's entries in the slices, shape (width,)."""
        return self._sums(group, pieces, power=2)

    def absolute_sums(self, group: ChannelGroup, pieces: Sequence[Slice]) -> Tensor:
        """Sum of absolute values of each channel's entries in the slices, shape (width,)."""
        return self._sums(group, pieces, power=1)

    def _sums(self, group: ChannelGroup, pieces: Sequence[Slice], *, power: int) -> Tensor:
        first = self._tensors[pieces[0].tensor]
        total = torch.zeros(group.width, dtype=first.dtype, device=first.device)
        for piece in pieces:
            tensor = self._tensors[piece.tensor].movedim(piece.axis, 0)
            tensor = tensor.reshape(len(tensor), -1)
            each = tensor.square().sum(dim=1) if power == 2 else tensor.abs().sum(dim=1)
            owner, position = self._index(piece)
            total = total.index_add(0, owner, each[position])
        return total

    def _index(self, piece: Slice) -> tuple[Tensor, Tensor]:
        """Owner and position of each entry along the slice's axis; a channel may own any number, or none."""
        key = id(piece)
        if key not in self._indices:
            device = self._tensors[piece.tensor].device
            pairs = [(channel, place) for channel, places in enumerate(piece.positions) for place in places]
            owner, position = torch.tensor(pairs, dtype=torch.int64, device=device).reshape(-1, 2).T
            self._indices[key] = owner, position
        return self._indices[key]


def norms(squared: Tensor) -> Tensor:
    """Square roots whose gradient at zero is zero, as that of the Euclidean norm is taken to be."""
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def scale_slices(groups: Sequence[ChannelGroup]) -> list[tuple[ChannelGroup, tuple[Slice, ...]]]:
    """The batch-norm weights that act on each group, for groups that have any."""
    found = [(group, batch_norm_weights(group)) for group in groups]
    return [(group, pieces) for group, pieces in found if pieces]
