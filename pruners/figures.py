"""Names of what data says of a group, and running averages of them over batches."""

from collections import defaultdict

import torch
from torch import Tensor

ACTIVATION = "mean absolute activation"
ACTIVATION_GRADIENT = "mean absolute gradient of the activation"
ZEROS = "share of zeros"
MASK_ABSOLUTE = "mean absolute gradient of the mask"
MASK_SUM = "mean gradient of the mask"
MASK_SQUARE = "mean squared gradient of the mask"
FILTER_TAYLOR = "squared sum of weight x gradient"
ELEMENT_TAYLOR = "sum of squared weight x gradient"
GATE_TAYLOR = "squared weight x gradient of the batch norm"
SENSITIVITY = "sum of absolute weight x mean gradient"
RANK = "mean rank"
INDEPENDENCE = "channel independence"
CONTRIBUTIONS = "inner products of contributions"
KERNEL_TAYLOR = "absolute kernel sum of weight x gradient"
"""Of a layer, by its module's name, shape (filters, inputs), float32; all others are of groups."""

KIND_OF = {
    **dict.fromkeys((FILTER_TAYLOR, ELEMENT_TAYLOR, GATE_TAYLOR, SENSITIVITY), "gradients"),
    **dict.fromkeys((ACTIVATION, ACTIVATION_GRADIENT, ZEROS), "activations"),
    **dict.fromkeys((MASK_ABSOLUTE, MASK_SUM, MASK_SQUARE), "activations"),
    **dict.fromkeys((RANK, INDEPENDENCE, CONTRIBUTIONS), "maps"),
}
"""The kind of evidence that a figure comes with."""

Key = tuple[str, str]
"""Group (or layer) name and figure."""


class Averages:
    """Weighted means per key; inputs may lie on any device, results are float64 on the processor."""

    def __init__(self) -> None:
        self._sums: dict[Key, Tensor] = {}
        self._weights: dict[Key, float] = defaultdict(float)

    def add(self, group: str, figure: str, value: Tensor, *, weight: float = 1.0) -> None:
        """Let `value` count `weight` times."""
        key = (group, figure)
        part = value.detach().cpu().to(torch.float64) * weight
        self._sums[key] = self._sums[key] + part if key in self._sums else part
        self._weights[key] += weight

    def means(self) -> dict[Key, Tensor]:
        """All means so far."""
        return {key: value / self._weights[key] for key, value in self._sums.items()}
