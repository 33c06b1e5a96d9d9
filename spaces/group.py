"""Channels that must be cut together."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["producer", "consumer", "scale", "record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What each channel of a group owns along one axis of one tensor.

    `positions[c]` are the indices along `axis` that go when channel c goes; a flattened 7 x 7 map gives a linear
    layer's input 49 per channel, a zero-padded shortcut may own none for some. Roles: `producer` (its rows compute the
    channel), `consumer` (its columns read the channel), `scale` (acts on it element by element: batch norm, bias).
    A `record` is no tensor but a number in a module's attribute that counts channels; its axis is -1.
    """

    tensor: str
    axis: int
    role: Role
    positions: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """`width` channels with one index list: cutting channel c removes position c's entries of every slice.

    Attributes:
        name: the first module that produces the channels, e.g. `layer1.0.conv1`.
        records: numbers of modules that shrink with the channels: code that splits by `self.width`.
        stage: groups whose outputs have the same spatial size share it, e.g. `16x16`.
        multiple_of: kept counts are multiples of it.
        min_keep: never fewer channels than this stay (a multiple of `multiple_of`).
        max_keep: never more than this stay; `width` unless the user bounds it.
    """

    name: str
    width: int
    slices: tuple[Slice, ...]
    records: tuple[Slice, ...] = ()
    stage: str = ""
    multiple_of: int = 1
    min_keep: int = 1
    max_keep: int = 0

    def __post_init__(self) -> None:
        if self.max_keep == 0:
            object.__setattr__(self, "max_keep", self.width)
        if not 1 <= self.min_keep <= self.max_keep <= self.width:
            raise ValueError(
                f"group {self.name}: needs 1 <= min_keep <= max_keep <= width, "
                f"got {self.min_keep}, {self.max_keep}, {self.width}"
            )
        if any(len(piece.positions) != self.width for piece in (*self.slices, *self.records)):
            raise ValueError(f"group {self.name}: every slice needs one entry per channel ({self.width})")

    def with_role(self, role: Role) -> tuple[Slice, ...]:
        """The slices of one role, in the order of the forward pass."""
        return tuple(piece for piece in self.slices if piece.role == role)
