"""Residual blocks that may go as a whole, and how little the network would notice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruners.trace import evaluating

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)


def linear_cka(left: Tensor, right: Tensor) -> float:
    """Linear centred kernel alignment of two representations of the same samples, shapes (samples, features), 0 to 1.

    Source: Kornblith et al., arXiv:1905.00414: |Y'X|^2 / (|X'X| |Y'Y|) with centred columns.
    """
    x, y = (side.double() - side.double().mean(dim=0) for side in (left, right))
    # with more features than samples the same figure costs less from the samples' side
    if x.size(0) < max(x.size(1), y.size(1)):
        one, two = x @ x.T, y @ y.T
        cross, norms = (one * two).sum(), one.norm() * two.norm()
    else:
        cross, norms = (y.T @ x).square().sum(), (x.T @ x).norm() * (y.T @ y).norm()
    return float(cross / norms) if float(norms) > 0 else 0.0


def residual_blocks(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Names of blocks whose output is their input where their weights are zero, innermost ones, in forward order."""
    inputs: dict[str, Tensor] = {}
    with _hooked(model, _recorder(inputs)), evaluating(model), torch.no_grad():
        model(images[:2])
        found = [name for name, x in inputs.items() if _passes_through(model.get_submodule(name), x)]
    return tuple(name for name in found if not any(other.startswith(name + ".") for other in found))


def block_similarities(model: nn.Module, images: Tensor, *, batch_size: int = 32) -> dict[str, float]:
    """For every residual block, the CKA of what the last layer reads with the block and without; high: hardly missed.

    Source: arXiv:2405.17081. The network is run once per block; it is left as it was.
    """
    images = images.to(next(model.parameters()).device)
    last = _last_layer(model, images)
    if last is None:
        return {}
    whole = _representation(model, images, last, batch_size=batch_size)
    similar = {}
    for name in residual_blocks(model, images):
        with _bypassed(model.get_submodule(name)):
            without = _representation(model, images, last, batch_size=batch_size)
        similar[name] = linear_cka(whole, without)
    return similar


def remove_blocks(model: nn.Module, names: Sequence[str]) -> nn.Module:
    """Put an identity in the place of each named block; the model is changed in place and returned."""
    for name in names:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Identity())
    return model


def removed_blocks(dense: nn.Module, small: nn.Module) -> tuple[str, ...]:
    """Names of the modules that are an identity in `small` alone: what `remove_blocks` needs to rebuild it."""
    before = dict(dense.named_modules())
    return tuple(
        name
        for name, module in small.named_modules()
        if isinstance(module, nn.Identity) and not isinstance(before.get(name), nn.Identity)
    )


def _recorder(inputs: dict[str, Tensor]) -> Any:
    def listen_as(name: str) -> Any:
        def listen(module: nn.Module, args: Any, out: Any) -> None:
            alone = len(args) == 1 and isinstance(args[0], Tensor) and isinstance(out, Tensor)
            if alone and args[0].shape == out.shape and _is_block(module):
                inputs.setdefault(name, args[0].clone())

        return listen

    return listen_as


def _is_block(module: nn.Module) -> bool:
    return not isinstance(module, WEIGHTED) and any(isinstance(inner, WEIGHTED) for inner in module.modules())


def _passes_through(module: nn.Module, x: Tensor) -> bool:
    zeros = {name: torch.zeros_like(parameter) for name, parameter in module.named_parameters()}
    out = torch.func.functional_call(module, zeros, (x,))
    return isinstance(out, Tensor) and bool(torch.allclose(out, x, atol=1e-6)) and bool(x.abs().max() > 0)


@contextmanager
def _hooked(model: nn.Module, listen_as: Any) -> Iterator[None]:
    handles = [module.register_forward_hook(listen_as(name)) for name, module in model.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _bypassed(block: nn.Module) -> Iterator[None]:
    handle = block.register_forward_hook(lambda _, args, __: args[0])
    try:
        yield
    finally:
        handle.remove()


def _last_layer(model: nn.Module, images: Tensor) -> nn.Module | None:
    """The convolution or linear layer that runs last; None where the network is written without such modules."""
    called: list[nn.Module] = []
    layers = [module for module in model.modules() if isinstance(module, WEIGHTED)]
    handles = [layer.register_forward_pre_hook(lambda module, _: called.append(module)) for layer in layers]
    try:
        with evaluating(model), torch.no_grad():
            model(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    return called[-1] if called else None


def _representation(model: nn.Module, images: Tensor, layer: nn.Module, *, batch_size: int) -> Tensor:
    """What `layer` reads, shape (samples, features)."""
    read: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, args: read.append(args[0].flatten(1).cpu()))
    try:
        with evaluating(model), torch.no_grad():
            for chunk in images.split(batch_size):
                model(chunk)
    finally:
        handle.remove()
    return torch.cat(read)
