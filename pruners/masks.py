"""Masks over single weights: the network keeps its shape, and what is masked is zero.

A masked network is no smaller network: figures taken from masks are named `nonzero_macs` and never stand where MACs of
a built network stand.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruners.trace import evaluating


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """Parameter name -> boolean tensor of its shape, True where the weight stays."""

    kept: Mapping[str, Tensor]

    @classmethod
    def dense(cls, model: nn.Module) -> "Masks":
        """Nothing masked: every parameter named `weight` with more than one dimension; no bias, no normalisation."""
        weights = prunable_weights(model)
        return cls(kept={name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()})

    @property
    def num_kept(self) -> int:
        """Weights that stay."""
        return sum(int(mask.sum()) for mask in self.kept.values())

    @property
    def num_weights(self) -> int:
        """Weights under the masks."""
        return sum(mask.numel() for mask in self.kept.values())

    def apply(self, model: nn.Module) -> None:
        """Set the masked weights of `model` to zero, in place."""
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, mask in self.kept.items():
                parameters[name].mul_(mask)


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter named `weight` with more than one dimension, by full name, detached."""
    named = model.named_parameters()
    return {name: p.detach() for name, p in named if name.rpartition(".")[2] == "weight" and p.dim() > 1}


def nonzero_macs(model: nn.Module, masks: Masks, example_input: Any) -> int:
    """Multiply-adds with unmasked weights of convolutions and linear layers, for the example's batch.

    What a machine that skips every zero would do; none of ours does. Equal to the dense MACs of these layers where
    nothing is masked.
    """
    uses: dict[str, int] = defaultdict(int)

    def hook(name: str) -> Any:
        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            uses[name] += _uses(module, inputs[0], output)

        return count

    layers = {name: module for name, module in model.named_modules() if f"{name}.weight" in masks.kept}
    counted = {n: m for n, m in layers.items() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)}
    handles = [module.register_forward_hook(hook(name)) for name, module in counted.items()]
    try:
        with evaluating(model), torch.no_grad():
            model(*(example_input if isinstance(example_input, tuple) else (example_input,)))
    finally:
        for handle in handles:
            handle.remove()
    return sum(count * int(masks.kept[f"{name}.weight"].sum()) for name, count in uses.items())


def _uses(module: nn.Module, features: Tensor, output: Tensor) -> int:
    """How often each weight multiplies in one call."""
    if isinstance(module, nn.Linear):
        return output.numel() // output.size(-1)
    assert isinstance(module, nn.modules.conv._ConvNd)
    pixels = features if module.transposed else output
    channels = module.in_channels if module.transposed else module.out_channels
    return pixels.numel() // channels
