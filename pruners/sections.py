"""Sections of equal length: code that halves its channels by their number must find halves of one length after a cut.

`x.chunk(2, dim=1)` puts the border in the middle of whatever is left. A cut keeps every channel on its side only if
both sides lose equally many, so classes that lie more in one section are paired with classes that lie more in the
other.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pruners.ledger import CONSTANT, IntArray, Ledger

REASON = "has to stay as wide as another section that stays"


def balance(ledger: Ledger, sections: Sequence[Tensor]) -> None:
    """Tie classes until each has equally many channels in every section.

    Args:
        ledger: where the ties are written.
        sections: one label per channel, each of shape (channels / number of sections,).
    """
    for other in sections[1:]:
        _balance_two(ledger, sections[0].numpy(), other.numpy())


def _balance_two(ledger: Ledger, left: IntArray, right: IntArray) -> None:
    classes = ledger.classes()
    stay = np.zeros(len(classes), dtype=bool)
    stay[classes[[CONSTANT, *ledger.frozen]]] = True
    size = np.bincount(classes, minlength=len(classes))
    surplus = np.zeros(len(classes), dtype=np.int64)
    np.add.at(surplus, classes[left], 1)
    np.add.at(surplus, classes[right], -1)
    surplus[stay] = 0  # what stays is the same for all: its surplus is met by whoever is left over
    more, less = np.flatnonzero(surplus > 0), np.flatnonzero(surplus < 0)
    more = more[np.argsort(size[more], kind="stable")]
    less = less[np.argsort(-size[less], kind="stable")]
    one, two = np.repeat(more, surplus[more]), np.repeat(less, -surplus[less])
    paired = min(len(one), len(two))
    ledger.tie(torch.from_numpy(one[:paired]), torch.from_numpy(two[:paired]))
    for rest in (one[paired:], two[paired:]):
        ledger.freeze(torch.from_numpy(rest), REASON)
