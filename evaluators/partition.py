"""Which samples go where: deterministic, classes in proportion."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from spaces import UserError

Arrays: TypeAlias = tuple[Tensor, Tensor]
SearchFrom: TypeAlias = Literal["train", "val", "test"]


def stratified(labels: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """`count` different indices, ascending, every class in proportion (within one sample); `seed` decides which."""
    num_samples = len(labels)
    if count >= num_samples:
        return torch.arange(num_samples)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(num_samples, generator=generator)
    order = order[labels[order].argsort(stable=True)]  # class by class, shuffled within
    # Every (num_samples / count)-th of them: each class gets its share, rounded.
    picked = (torch.arange(count) * num_samples + num_samples // 2) // count
    return order[picked].sort().values


def without(num_samples: int, indices: Tensor) -> Tensor:
    """The indices below `num_samples` that are not among `indices`, ascending."""
    mask = torch.ones(num_samples, dtype=torch.bool)
    mask[indices] = False
    return mask.nonzero().flatten()


def halves(labels: Tensor) -> tuple[Tensor, Tensor]:
    """By class, the first half of the samples in their order, and the second half (one more where odd)."""
    order = labels.argsort(stable=True)
    firsts = torch.cat([torch.arange(n) < n // 2 for n in torch.bincount(labels).tolist()])
    return order[firsts].sort().values, order[~firsts].sort().values


def carved(labels: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """The samples that stay, and the `fraction` of them that is set apart.

    Raises:
        UserError: the fraction is not strictly between 0 and 1, or leaves one side without samples.
    """
    if not 0 < fraction < 1:
        raise UserError("data.params.search_fraction", fraction, "must be between 0 and 1")
    apart = stratified(labels, round(fraction * len(labels)))
    if not 0 < len(apart) < len(labels):
        raise UserError("data.params.search_fraction", fraction, f"leaves a split of {len(labels)} samples empty")
    return without(len(labels), apart), apart


def check_search_from(search_from: str, *, allowed: tuple[str, ...]) -> None:
    """Refuse a part that the data set has not.

    Raises:
        UserError: `search_from` is not among `allowed`.
    """
    if search_from not in allowed:
        rule = "names a part that this data has not"
        raise UserError("data.params.search_from", search_from, rule, choices=allowed)


def three_sources(
    train: Arrays, test: Callable[[], Arrays], *, search_from: str, search_fraction: float
) -> dict[str, Any]:
    """The sources of a data set that comes as train and test.

    Args:
        train: images and labels.
        test: reads images and labels of the other part, when needed.
        search_from: `train` sets a fraction of train apart; `test` takes the first half of test, by class.
        search_fraction: how much, for `train`.

    Returns:
        The arguments train, search and test of `Sources`.

    Raises:
        UserError: unknown `search_from`, or an impossible fraction.
    """
    check_search_from(search_from, allowed=("train", "test"))
    if search_from == "train":
        stay, apart = carved(train[1], search_fraction)
        return {"train": lambda: _take(train, stay), "search": lambda: _take(train, apart), "test": test}
    return {"train": train, "search": lambda: _half(test(), 0), "test": lambda: _half(test(), 1)}


def _take(arrays: Arrays, indices: Tensor) -> Arrays:
    return arrays[0][indices], arrays[1][indices]


def _half(arrays: Arrays, which: int) -> Arrays:
    return _take(arrays, halves(arrays[1])[which])
