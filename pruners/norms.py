"""What normalisation does to channel labels: batch norm, group norm, layer norm and the layers' scales with them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pruners.tracer import Call, Rule, Tracer, freeze_call, tensors_in

aten = torch.ops.aten


def channels_of(tracer: Tracer, features: Tensor) -> Tensor:
    """One label per channel, dimension 1, shape (channels,); zeros for a constant."""
    labels = tracer.labels(features)
    if labels is None:
        labels = torch.zeros((), dtype=torch.int64).expand(features.shape)
    return tracer.per_channel(labels, 1)


def scaled(tracer: Tracer, channels: Tensor, parameters: Sequence[Any]) -> Tensor:
    """Tie vectors that act channel by channel; answers the labels of what comes out, shape (channels,)."""
    for parameter in parameters:
        nodes = tracer.line(parameter, 0) if isinstance(parameter, Tensor) else None
        if nodes is not None:
            tracer.ledger.tie(nodes, channels)
            tracer.mark(nodes, "scale")
            channels = torch.where(channels == 0, nodes, channels)
    return channels


def batch_norm(tracer: Tracer, call: Call) -> None:
    """Weight, bias and statistics follow the channel, dimension 1."""
    info = tracer.info(call.args[0])
    if info is not None and info.parameter:
        freeze_call(tracer, call, "weights computed in the forward pass")
        return
    out = next(tensors_in(call.out))
    channels = scaled(tracer, channels_of(tracer, call.args[0]), call.args[1:5])
    tracer.set_labels(out, channels.view([-1] + [1] * (out.dim() - 2)))


def group_norm(tracer: Tracer, call: Call) -> None:
    """The channels of one norm group go together, since each takes part in the others' statistics."""
    features, weight, bias = call.args[:3]
    num_groups = int(call.args[6])
    out = next(tensors_in(call.out))
    by_group = channels_of(tracer, features).view(num_groups, -1)
    reason = "native_group_norm takes statistics over the channels"
    mixed = ((by_group == 0).any(dim=1) & (by_group != 0).any(dim=1))[:, None].expand_as(by_group)
    tracer.ledger.freeze(by_group[mixed], reason)
    tracer.ledger.tie_along(by_group, 1)
    tracer.ledger.hint(by_group, reason)
    channels = scaled(tracer, by_group.reshape(-1), (weight, bias))
    tracer.set_labels(out, channels.view([-1] + [1] * (out.dim() - 2)))


def layer_norm(tracer: Tracer, call: Call) -> None:
    """Its statistics change with any channel, so what it normalises together stays."""
    freeze_call(tracer, call, "native_layer_norm takes statistics over the channels")


NORM_RULES: dict[Any, Rule] = {
    aten.native_batch_norm: batch_norm,
    aten._native_batch_norm_legit: batch_norm,
    aten._native_batch_norm_legit_no_training: batch_norm,
    aten.cudnn_batch_norm: batch_norm,
    aten.native_group_norm: group_norm,
    aten.native_layer_norm: layer_norm,
}
