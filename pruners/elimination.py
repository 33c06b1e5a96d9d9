"""Channels removed one after the other, with what stays refitted by least squares after each: the errors and the order.

Shape legend: O outputs of a layer, n columns of its weight, w channels of a group, c channels that own p columns each.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruners.moments import Moments, columns_of, columns_of_channels
from spaces import ChannelGroup

RIDGE = 1e-3
"""Fraction of the covariance's mean diagonal that is added to it."""

TURNS = 128
"""Wide groups lose several channels per turn, so that there are about this many turns."""

COMPACTED = 0.2
"""Matrices are brought up to date, and made smaller, when more than this share of their columns is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elimination:
    """The way from a whole group to none of it.

    Attributes:
        places: of each channel in the order in which they go, shape (w,), from 0; the last to go matters most.
        errors: what is lost with the first r channels gone, shape (w + 1,), rising from 0: the squared change of the
            outputs of each layer that reads the group, as a fraction of their variance, summed over these layers.
            Between two turns on a straight line.
    """

    places: Tensor
    errors: Tensor


def eliminate_all(
    groups: Iterable[ChannelGroup], tensors: Mapping[str, Tensor], moments: Mapping[str, Moments]
) -> dict[str, Elimination]:
    """Name of a group -> its elimination, for all groups that have one; arguments as of `eliminate`."""
    found = ((group.name, eliminate(group, tensors, moments)) for group in groups)
    return {name: elimination for name, elimination in found if elimination is not None}


def eliminate(group: ChannelGroup, tensors: Mapping[str, Tensor], moments: Mapping[str, Moments]) -> Elimination | None:
    """Greedy backward elimination of a group's channels.

    Source: Kurtic, Frantar, Alistarh, ZipLM, arXiv:2302.04089, equations 2 and 3 (optimal brain surgeon on structures):
    with S the covariance of the inputs, removing the columns M raises the squared error of the outputs by
    tr(W_M ((S^-1)_MM)^-1 W_M^T) and the best remaining weight is W - W_M ((S^-1)_MM)^-1 (S^-1)_M. Errors of several
    readers are added, each as a fraction of its output's variance.

    Args:
        group: whose channels go.
        tensors: weights of its readers, by state-dict name.
        moments: of what they read.

    Returns:
        None where no reader of the group has finite moments.
    """
    readers = [
        _Reader(tensors[piece.tensor], piece.positions, moments[piece.tensor].covariance)
        for piece in group.with_role("consumer")
        if piece.tensor in moments and bool(moments[piece.tensor].covariance.isfinite().all())
    ]
    if not readers:
        return None
    order: list[int] = []
    errors = [torch.zeros(1, dtype=torch.float64)]
    left = torch.arange(group.width)
    while len(left) > 0:
        added = torch.stack([reader.added_errors() for reader in readers]).sum(dim=0)[left]
        num_gone = max(1, min(group.width // TURNS, len(left) - 1))
        lightest = added.argsort(stable=True)[:num_gone]
        order += left[lightest].tolist()
        together = sum(reader.remove(left[lightest]) for reader in readers)
        errors.append(errors[-1][-1] + together / num_gone * torch.arange(1, num_gone + 1, dtype=torch.float64))
        left = left[_others(len(left), lightest)]
    places = torch.tensor(order).argsort().double()
    return Elimination(places=places, errors=torch.cat(errors))


@dataclass(slots=True, kw_only=True)
class _Alike:
    """Channels that own equally many columns of a layer, and what decides the error that each of them alone adds.

    Attributes:
        channels: numbers in the group, shape (c,).
        columns: shape (c, p).
        inverses: diagonal blocks of the inverse covariance, shape (c, p, p).
        energies: products of the weight's columns with each other, shape (c, p, p).
    """

    channels: Tensor
    columns: Tensor
    inverses: Tensor
    energies: Tensor

    def among(self, left: Tensor) -> "_Alike":
        """Those that are left; `left` is a mask over the group's channels."""
        stay = left[self.channels]
        return _Alike(
            channels=self.channels[stay],
            columns=self.columns[stay],
            inverses=self.inverses[stay],
            energies=self.energies[stay],
        )


class _Reader:
    """One layer that reads the group: its weight and the inverse covariance of its inputs, while channels go.

    Each turn lowers the inverse by F F^T, a step of a block Cholesky factorisation. Only the diagonal blocks are needed
    at once; the rest stays behind as factors, for one product every few turns.

    Errors depend on the weight W by W^T W alone, so that its triangular factor stands in where that has fewer rows.
    """

    _columns: list[Tensor]
    _alike: list[_Alike]
    _factor: Tensor
    _gone: Tensor

    def __init__(self, weight: Tensor, positions: Sequence[Sequence[int]], covariance: Tensor) -> None:
        size = len(covariance)
        columns = columns_of(weight, size).double()
        self._weight: Tensor = torch.linalg.qr(columns, mode="r").R if len(columns) > size else columns.clone()
        gram = covariance.double()
        self._energy = max(float((self._weight @ gram * self._weight).sum()), 1e-300)
        self._inverse = _inverse(gram)
        self._left = torch.ones(len(positions), dtype=torch.bool)
        per_input = size // weight.size(1)
        self._begin([columns_of_channels(torch.tensor(own, dtype=torch.int64), per_input) for own in positions])

    def added_errors(self) -> Tensor:
        """By how much the error rises, as a fraction of the output's variance, for each channel alone, shape (w,)."""
        added = torch.zeros(len(self._left), dtype=torch.float64)
        for part in self._alike:
            added[part.channels] = (torch.linalg.inv(part.inverses) * part.energies).sum(dim=(1, 2))
        return added.clamp_min_(0) / self._energy

    def remove(self, channels: Tensor) -> float:
        """Take the channels' columns out and refit what stays; by how much the error rises, as in `added_errors`."""
        self._left[channels] = False
        self._alike = [part.among(self._left) for part in self._alike]
        columns = torch.cat([self._columns[channel] for channel in channels.tolist()])
        if len(columns) == 0:
            return 0.0
        rows = self._inverse[columns] - self._factor[columns] @ self._factor.T
        triangle = torch.linalg.cholesky(rows[:, columns])
        step = torch.linalg.solve_triangular(triangle, rows, upper=False).T
        shift = torch.linalg.solve_triangular(triangle, self._weight[:, columns].T, upper=False).T
        self._lower(step, self._weight.T @ shift, shift.T @ shift)
        self._weight.addmm_(shift, step.T, alpha=-1)
        self._factor = torch.cat([self._factor, step], dim=1)
        self._gone[columns] = True
        if self._factor.size(1) > len(self._inverse) * COMPACTED:
            self._compact()
        return float(shift.square().sum()) / self._energy

    def _lower(self, step: Tensor, cross: Tensor, square: Tensor) -> None:
        """Bring the blocks up to date: the inverse falls by step step^T, the weight by shift step^T.

        Args:
            step: (n, m).
            cross: W^T shift, (n, m).
            square: shift^T shift, (m, m).
        """
        for part in self._alike:
            steps = step[part.columns]
            part.inverses.baddbmm_(steps, steps.mT, alpha=-1)
            # (W - shift step^T)^T (W - shift step^T), block by block
            half = cross[part.columns] - steps @ (square / 2)
            change = half @ steps.mT
            part.energies -= change + change.mT

    def _compact(self) -> None:
        """Drop what is gone, so that later turns cost less, and apply the factors to the rest."""
        stay = (~self._gone).nonzero().squeeze(1)
        factor = self._factor[stay]
        self._inverse = self._inverse[stay][:, stay].addmm_(factor, factor.T, alpha=-1)
        self._weight = self._weight[:, stay]
        places = torch.cumsum(~self._gone, dim=0) - 1
        self._begin([places[own] for own in self._columns])

    def _begin(self, columns: list[Tensor]) -> None:
        """Start from matrices that are up to date, with the columns of every channel in them."""
        self._columns = columns
        self._factor = self._inverse[:, :0]
        self._gone = torch.zeros(len(self._inverse), dtype=torch.bool)
        by_size: dict[int, list[int]] = {}
        for channel in self._left.nonzero().squeeze(1).tolist():
            by_size.setdefault(len(columns[channel]), []).append(channel)
        self._alike = [self._blocks(channels) for size, channels in by_size.items() if size > 0]

    def _blocks(self, channels: list[int]) -> _Alike:
        columns = torch.stack([self._columns[channel] for channel in channels])
        weights = self._weight[:, columns].transpose(0, 1)
        return _Alike(
            channels=torch.tensor(channels),
            columns=columns,
            inverses=self._inverse[columns[:, :, None], columns[:, None, :]],
            energies=weights.mT @ weights,
        )


def _inverse(gram: Tensor) -> Tensor:
    """Inverse of a covariance with a ridge; a wider one where rounding has left the covariance indefinite."""
    ridge = RIDGE * gram.diagonal().mean() + torch.finfo(torch.float32).tiny
    identity = torch.eye(len(gram), dtype=gram.dtype)
    factor, failed = torch.linalg.cholesky_ex(gram + ridge * identity)
    if failed:
        least = torch.linalg.eigvalsh(gram)[0]
        factor = torch.linalg.cholesky(gram + (ridge - least) * identity)
    return torch.cholesky_inverse(factor)


def _others(size: int, chosen: Tensor) -> Tensor:
    stays = torch.ones(size, dtype=torch.bool)
    stays[chosen] = False
    return stays
