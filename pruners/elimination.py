"""Channels removed one after the other, with what stays refitted by least squares after each: the errors and the order.

Shape legend: O outputs of a layer, n columns of its weight, w channels of a group, p columns that a channel owns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.evidence import Evidence
from pruners.moments import columns_of, columns_of_channels
from spaces import ChannelGroup

RIDGE = 1e-3
"""Fraction of the covariance's mean diagonal that is added to it."""

TURNS = 128
"""Wide groups lose several channels per turn, so that there are about this many turns."""


COMPACTED = 0.2
"""Matrices are made smaller when more than this share of their columns is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elimination:
    """The way from a whole group to none of it.

    Attributes:
        turns: turn at which each channel goes, shape (w,); the last to go matters most.
        errors: what is lost with the first r channels gone, shape (w + 1,), rising from 0: the squared change of the
            outputs of each layer that reads the group, as a fraction of their variance, summed over these layers.
    """

    turns: Tensor
    errors: Tensor


def elimination(group: ChannelGroup, evidence: Evidence) -> Elimination | None:
    """Greedy backward elimination of a group's channels, computed once per dense network.

    Source: Kurtic, Frantar, Alistarh, ZipLM, arXiv:2302.04089, equations 2 and 3 (optimal brain surgeon on structures):
    with S the covariance of the inputs, removing the columns M raises the squared error of the outputs by
    tr(W_M ((S^-1)_MM)^-1 W_M^T) and the best remaining weight is W - W_M ((S^-1)_MM)^-1 (S^-1)_M. Errors of several
    readers are added, each as a fraction of its output's variance.

    Returns:
        None where no reader of the group has moments.
    """
    found: Elimination | None = evidence.derived(group, "elimination", lambda: _eliminate(group, evidence))
    return found


def _eliminate(group: ChannelGroup, evidence: Evidence) -> Elimination | None:
    readers = [
        _Reader(evidence.tensors[piece.tensor], piece.positions, evidence.moments[piece.tensor].covariance)
        for piece in group.with_role("consumer")
        if piece.tensor in evidence.moments
    ]
    if not readers:
        return None
    turns = torch.zeros(group.width, dtype=torch.float64)
    errors = [0.0]
    left = torch.arange(group.width)
    while len(left) > 0:
        added = torch.stack([reader.added_errors(left) for reader in readers]).sum(dim=0)
        num_gone = max(1, min(group.width // TURNS, len(left) - 1))
        lightest = added.argsort(stable=True)[:num_gone]
        for place in lightest.tolist():
            turns[left[place]] = len(errors) - 1
            errors.append(errors[-1] + float(added[place]))
        for reader in readers:
            reader.remove(left[lightest])
        left = left[_others(len(left), lightest)]
    return Elimination(turns=turns, errors=torch.tensor(errors, dtype=torch.float64))


class _Reader:
    """One layer that reads the group: its weight and the inverse covariance of its inputs, while channels go.

    Errors depend on the weight W by W^T W alone, so that its triangular factor stands in where that has fewer rows.
    """

    def __init__(self, weight: Tensor, positions: Sequence[Sequence[int]], covariance: Tensor) -> None:
        size = len(covariance)
        columns = columns_of(weight, size).double()
        self._weight: Tensor = torch.linalg.qr(columns, mode="r").R if len(columns) > size else columns
        gram = covariance.double()
        self._energy = float((self._weight @ gram * self._weight).sum())
        ridge = RIDGE * gram.diagonal().mean() + torch.finfo(torch.float32).tiny
        self._inverse = torch.linalg.inv(gram + ridge * torch.eye(size, dtype=gram.dtype))
        per_input = size // weight.size(1)
        self._columns = [columns_of_channels(torch.tensor(own, dtype=torch.int64), per_input) for own in positions]
        self._gone = torch.zeros(size, dtype=torch.bool)

    def added_errors(self, channels: Tensor) -> Tensor:
        """By how much the error rises, as a fraction of the output's variance, for each channel alone."""
        by_size: dict[int, list[int]] = {}
        for index, channel in enumerate(channels.tolist()):
            by_size.setdefault(len(self._columns[channel]), []).append(index)
        added = torch.zeros(len(channels), dtype=torch.float64)
        for size, places in by_size.items():
            if size == 0:
                continue
            columns = torch.stack([self._columns[int(channels[place])] for place in places])
            blocks = self._inverse[columns[:, :, None], columns[:, None, :]]
            weights = self._weight[:, columns].transpose(0, 1)
            inner = weights @ torch.linalg.inv(blocks)
            added[torch.tensor(places)] = (inner * weights).sum(dim=(1, 2))
        return added.clamp_min(0) / max(self._energy, 1e-300)

    def remove(self, channels: Tensor) -> None:
        """Take the channels' columns out; what stays is refitted."""
        columns = torch.cat([self._columns[channel] for channel in channels.tolist()])
        if len(columns) == 0:
            return
        block = torch.linalg.inv(self._inverse[columns][:, columns])
        rows = block @ self._inverse[columns]
        self._weight -= self._weight[:, columns] @ rows
        self._inverse -= self._inverse[:, columns] @ rows
        self._gone[columns] = True
        if int(self._gone.sum()) > len(self._gone) * COMPACTED:
            self._compact()

    def _compact(self) -> None:
        """Drop what is gone, so that later turns cost less."""
        stay = (~self._gone).nonzero().squeeze(1)
        places = torch.cumsum(~self._gone, dim=0) - 1
        self._weight, self._inverse = self._weight[:, stay], self._inverse[stay][:, stay]
        self._columns = [places[own] for own in self._columns]
        self._gone = torch.zeros(len(stay), dtype=torch.bool)


def _others(size: int, chosen: Tensor) -> Tensor:
    stays = torch.ones(size, dtype=torch.bool)
    stays[chosen] = False
    return stays
