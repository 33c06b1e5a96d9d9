"""One pass over calibration batches: what gradients and activations say of every group.

The network runs in eval mode, with stand-ins for its parameters, so that neither its gradients nor its flags change.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners import figures
from pruners.connections import kernel_taylor
from pruners.figures import Averages, Key
from pruners.grouping import module_of
from pruners.maps import map_figures
from pruners.reads import Read, Watch, maps_of, reads_of
from pruners.swap import swapped
from pruners.trace import evaluating, outputs_in
from spaces import ChannelGroup, Slice, UserError

Loss = Callable[[Tensor, Tensor], Tensor]
"""(output (B, ...), labels (B,)) -> mean loss over the batch."""

KEPT_IMAGES = 128
"""Images on which the costly figures of maps are taken; the others are taken on all batches."""


def gather_figures(
    model: nn.Module,
    groups: Sequence[ChannelGroup],
    *,
    needs: frozenset[str],
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Loss,
) -> tuple[dict[Key, Tensor], Tensor]:
    """Figures of the kinds in `needs`, and the first images (at most `KEPT_IMAGES`), for what looks at few.

    Memory is that of one training step on one batch.

    A group whose readers can't be seen (a fused attention, a weight that the forward pass computes) has no figures of
    activations and maps.

    Raises:
        UserError: no batch.
    """
    passes = _Passes(model, groups, needs, loss)
    images: list[Tensor] = []
    for x, y in batches:
        if sum(map(len, images)) < KEPT_IMAGES:
            images.append(x[: KEPT_IMAGES - sum(map(len, images))])
        passes.add(x, y)
    if not images:
        raise UserError("batches", None, f"needs at least one batch of (images, labels) to gather {sorted(needs)}")
    found = passes.result()
    kept = torch.cat(images)
    if "maps" in needs:
        found |= map_figures(model, groups, kept)
    return found, kept


class _Passes:
    """Forward and backward passes, and the running averages that they feed."""

    def __init__(self, model: nn.Module, groups: Sequence[ChannelGroup], needs: frozenset[str], loss: Loss) -> None:
        self._model, self._groups, self._loss = model, groups, loss
        self._gradients, self._activations = "gradients" in needs, "activations" in needs
        self._connections = "connections" in needs
        self._averages = Averages()
        self._mean_gradients: dict[str, Tensor] = {}
        self._num_batches = 0
        device = next(model.parameters()).device
        self._device = device
        self._parameters = {
            name: parameter.detach().requires_grad_(parameter.is_floating_point())
            for name, parameter in model.named_parameters()
        }

    def add(self, x: Tensor, y: Tensor) -> None:
        """One batch."""
        if not (self._gradients or self._activations or self._connections):
            return
        x, y = x.to(self._device), y.to(self._device)
        consumers = {piece.tensor for group in self._groups for piece in group.with_role("consumer")}
        watched = {name: tensor for name, tensor in self._parameters.items() if name in consumers}
        watch = Watch(watched if self._activations else {})
        with evaluating(self._model), torch.enable_grad(), swapped(self._model, self._parameters), watch:
            output = next(outputs_in(self._model(x)))
            value = self._loss(output, y)
        masks = self._listen(watch.reads, len(x))
        gradients = self._backward(value)
        for name, mask in masks.items():
            self._add_masks(name, mask)
        if self._gradients:
            self._add_gradients(gradients)
        for name in self._layers() if self._connections else ():
            figure = kernel_taylor(self._parameters[name], gradients[name])
            self._averages.add(module_of(name), figures.KERNEL_TAYLOR, figure)
        self._num_batches += 1

    def result(self) -> dict[Key, Tensor]:
        """Everything gathered."""
        if self._gradients:
            for group in self._groups:
                parts = [self._weighted(piece, self._mean_gradients) for piece in group.with_role("producer")]
                total = torch.cat(parts, dim=1).abs().sum(dim=1) / self._num_batches
                self._averages.add(group.name, figures.SENSITIVITY, total)
        means = self._averages.means()
        return {key: mean.float() if key[1] == figures.KERNEL_TAYLOR else mean for key, mean in means.items()}

    def _listen(self, reads: list[Read], batch_size: int) -> dict[str, Tensor]:
        """Take what the forward pass shows and hook what the backward pass will; gradients of masks, still zero."""
        masks: dict[str, Tensor] = {}
        for group in self._groups if self._activations else ():
            found = reads_of(group, reads)
            if not found:
                continue
            self._add_forward(group.name, *found[0], batch_size)
            masks[group.name] = torch.zeros(batch_size, group.width, device=self._device)
            for piece, read in found:
                _hook_mask(masks[group.name], piece, read)
        return masks

    def _add_forward(self, name: str, piece: Slice, read: Read, batch_size: int) -> None:
        values = maps_of(read.source.detach(), piece, read)
        axes = [axis for axis in range(values.dim()) if axis != 1]
        self._averages.add(name, figures.ACTIVATION, values.abs().mean(dim=axes), weight=batch_size)
        self._averages.add(name, figures.ZEROS, (values == 0).float().mean(dim=axes), weight=batch_size)

        def listen(gradient: Tensor) -> None:
            size = maps_of(gradient, piece, read).abs().mean(dim=axes)
            self._averages.add(name, figures.ACTIVATION_GRADIENT, size * batch_size, weight=batch_size)

        read.source.register_hook(listen)

    def _backward(self, value: Tensor) -> dict[str, Tensor]:
        names = {p.tensor for group in self._groups for p in group.slices if p.role != "consumer"}
        names |= self._layers() if self._connections else set()
        wanted = [name for name in self._parameters if name in names]
        found = torch.autograd.grad(value, [self._parameters[name] for name in wanted], allow_unused=True)
        pairs = zip(wanted, found, strict=True)
        return {name: torch.zeros_like(self._parameters[name]) if g is None else g for name, g in pairs}

    def _layers(self) -> set[str]:
        """Weights of layers that compute or read a group's channels."""
        pieces = [p for group in self._groups for p in group.slices if p.role != "scale"]
        return {p.tensor for p in pieces if p.tensor in self._parameters and self._parameters[p.tensor].dim() > 1}

    def _add_masks(self, name: str, mask_BC: Tensor) -> None:
        weight = len(mask_BC)
        self._averages.add(name, figures.MASK_ABSOLUTE, mask_BC.abs().mean(dim=0), weight=weight)
        self._averages.add(name, figures.MASK_SUM, mask_BC.mean(dim=0), weight=weight)
        self._averages.add(name, figures.MASK_SQUARE, mask_BC.square().mean(dim=0), weight=weight)

    def _add_gradients(self, gradients: dict[str, Tensor]) -> None:
        for name, gradient in gradients.items():
            before = self._mean_gradients.get(name)
            self._mean_gradients[name] = gradient if before is None else before + gradient
        for group in self._groups:
            parts = [self._weighted(piece, gradients) for piece in group.with_role("producer")]
            products = torch.cat(parts, dim=1)
            self._averages.add(group.name, figures.FILTER_TAYLOR, products.sum(dim=1).square())
            self._averages.add(group.name, figures.ELEMENT_TAYLOR, products.square().sum(dim=1))
            gates = [self._weighted(piece, gradients) for piece in _affine(group)]
            gate = torch.cat(gates, dim=1).sum(dim=1).square() if gates else products.sum(dim=1).square()
            self._averages.add(group.name, figures.GATE_TAYLOR, gate)

    def _weighted(self, piece: Slice, gradients: dict[str, Tensor]) -> Tensor:
        """Weight x gradient of what each channel owns, shape (width, entries), float64."""
        if piece.tensor not in gradients:  # a buffer computes the channel
            return torch.zeros(len(piece.positions), 1, dtype=torch.float64)
        product = (self._parameters[piece.tensor].detach() * gradients[piece.tensor]).movedim(piece.axis, 0)
        positions = torch.tensor(piece.positions, dtype=torch.int64)
        rows = product.cpu().double()[positions.reshape(-1)]
        return rows.reshape(len(piece.positions), -1)


def _hook_mask(mask_BC: Tensor, piece: Slice, read: Read) -> None:
    """Add, when it arrives, the gradient of a mask on this read's channels, of each sample's own loss."""
    values = read.alias.detach()
    batch_size, width = mask_BC.shape

    def listen(gradient: Tensor) -> None:
        product = maps_of(values * gradient, piece, read).flatten(2).sum(dim=2)
        # windows of one image lie one after the other; the loss is a mean over the batch
        mask_BC.add_(product.reshape(batch_size, -1, width).sum(dim=1) * batch_size)

    read.alias.register_hook(listen)


def _affine(group: ChannelGroup) -> list[Slice]:
    """Weights and biases of the batch norms that act on the channels."""
    scales = {piece.tensor: piece for piece in group.with_role("scale")}
    stems = [name.removesuffix("running_mean") for name in scales if name.endswith("running_mean")]
    return [scales[name] for stem in stems for name in (stem + "weight", stem + "bias") if name in scales]


def default_loss(output: Any, labels: Tensor) -> Tensor:
    """Mean cross-entropy."""
    return nn.functional.cross_entropy(output, labels)
