"""What layers compute whose outputs nothing cuts: something to compare where a network's answer is empty.

A detector that finds nothing in an image answers with no boxes at all, cut rightly or not. Its heads still compute
scores, and these must be the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from pruners.trace import outputs_in
from spaces import ChannelGroup

Call = tuple[str, int]
"""A layer's name, and which of its outputs in the order of the forward pass."""


def uncut_layers(model: nn.Module, groups: Sequence[ChannelGroup]) -> tuple[str, ...]:
    """Modules that hold a weight of their own and produce or scale no channel of `groups`."""
    touched = {piece.tensor for group in groups for piece in group.slices if piece.role != "consumer"}
    found = []
    for prefix, module in model.named_modules():
        own = {f"{prefix}.{name}" if prefix else name: p for name, p in module.named_parameters(recurse=False)}
        if any(parameter.dim() > 1 for parameter in own.values()) and not touched & set(own):
            found.append(prefix)
    return tuple(found)


@contextmanager
def listening(model: nn.Module, layers: Sequence[str]) -> Iterator[Mapping[Call, Tensor]]:
    """What the named layers answer inside the block."""
    heard: dict[Call, Tensor] = {}
    calls: dict[str, int] = defaultdict(int)

    def hook(name: str) -> Any:
        def listen(module: nn.Module, args: Any, out: Any) -> None:
            for tensor in outputs_in(out):
                heard[name, calls[name]] = tensor
                calls[name] += 1

        return listen

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in layers]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
