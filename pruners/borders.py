"""Borders that code draws through its channels with numbers of its own: `torch.split(x, self.width, 1)`.

Such a number has to shrink with the channels that it counts. While a network is traced, every place where its code
splits, slices or reshapes channels is compared with the numbers that the running module holds; equal ones become nodes
beside those of the tensors, tied with the channels below the border. The proof tells whether that was right.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruners.attributes import full_name, numbers_of
from pruners.ledger import RECORD
from pruners.tracer import Tracer

HEADS = frozenset({"num_heads", "n_heads", "n_head", "num_attention_heads", "heads"})
"""Names under which modules keep their number of attention heads."""


@contextmanager
def running_modules(tracer: Tracer, model: nn.Module) -> Iterator[None]:
    """Tell the tracer whose code runs; the hooks are gone after the block."""
    handles = []

    def enter(name: str) -> Callable[..., None]:
        return lambda module, args: tracer.running.append((name, module))

    def leave(module: nn.Module, args: Any, out: Any) -> None:
        tracer.running.pop()

    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(enter(name), prepend=True))
            handles.append(module.register_forward_hook(leave, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def numbers_here(tracer: Tracer) -> dict[str, int]:
    """The running module's numbers above one, which says too little, by full name."""
    if not tracer.running:
        return {}
    prefix, module = tracer.running[-1]
    return {full_name(prefix, name): value for name, value in numbers_of(module).items() if value > 1}


def border(tracer: Tracer, channels: Tensor) -> None:
    """Numbers equal to the number of `channels`, labels of shape (count,), count these."""
    for name, value in numbers_here(tracer).items():
        if value == len(channels):
            _counts(tracer, name, channels)


def sliced(tracer: Tracer, labels: Tensor, *, dim: int, ends: Sequence[int]) -> None:
    """Code took a slice along `dim` of labels that change there."""
    places = set(ends) & set(numbers_here(tracer).values())
    if places:
        channels = tracer.per_channel(labels, dim)
        for place in places - {0, len(channels)}:
            border(tracer, channels[:place])


def divided(tracer: Tracer, sections: Sequence[Tensor]) -> None:
    """Code split channels into sections, labels of shape (count,) each.

    A list of numbers counts one section each; single numbers count the first of equal sections, an own section each of
    unequal ones, or all channels.
    """
    numbers, sizes = numbers_here(tracer), [len(section) for section in sections]
    lists = {name.rpartition(".")[0] for name in numbers if name.rpartition(".")[2].isdigit()}
    for name in lists:
        if [numbers.get(f"{name}.{index}") for index in range(len(sizes))] == sizes:
            for index, section in enumerate(sections):
                _counts(tracer, f"{name}.{index}", section)
            return
    for section in sections if len(set(sizes)) > 1 else sections[:1]:
        border(tracer, section)
    border(tracer, torch.cat(list(sections)))


def _head_counts(tracer: Tracer) -> set[int]:
    return {value for name, value in numbers_here(tracer).items() if name.rpartition(".")[2] in HEADS}


def heads_among(tracer: Tracer, out: Tensor, dims: Sequence[int]) -> int | None:
    """Which of some dimensions are attention heads by the running module's own count of them."""
    found = [dim for dim in dims if out.size(dim) in _head_counts(tracer)]
    return found[-1] if found else None


def counts_heads(tracer: Tracer, size: int) -> bool:
    """Whether a dimension of this size holds the running module's heads, of each window where it has windows."""
    return any(size % heads == 0 for heads in _head_counts(tracer))


def _counts(tracer: Tracer, name: str, channels: Tensor) -> None:
    tracer.ledger.tie(tracer.ledger.nodes(name, RECORD, len(channels)), channels)
    tracer.ledger.role(name, RECORD, "record")
