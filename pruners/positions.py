"""Index lists of a slice with their arrays beside them, since a search reads them for every candidate."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from pruners.ledger import IntArray


class Positions(tuple[tuple[int, ...], ...]):
    """One tuple of positions per channel; equal to the plain tuple, but its arrays are built once."""

    @cached_property
    def flat(self) -> IntArray:
        """All positions, channel after channel."""
        return np.array([position for channel in self for position in channel], dtype=np.int64)

    @cached_property
    def starts(self) -> IntArray:
        """Where each channel begins in `flat`, and the end, shape (width + 1,)."""
        return np.cumsum([0, *(len(channel) for channel in self)])

    @cached_property
    def each(self) -> int:
        """Positions per channel where all have equally many, else 0."""
        lengths = set(np.diff(self.starts).tolist())
        return int(lengths.pop()) if len(lengths) == 1 else 0

    def of(self, channels: IntArray) -> IntArray:
        """Positions of some channels, in their order."""
        if self.each:
            return self.flat.reshape(-1, self.each)[channels].reshape(-1)
        pieces = [self.flat[self.starts[channel] : self.starts[channel + 1]] for channel in channels]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int64)


def positions_of(lists: Sequence[tuple[int, ...]]) -> Positions:
    """The lists with their arrays; the same object where they have them already."""
    return lists if isinstance(lists, Positions) else Positions(lists)
