"""thop's own counting rules as cost terms, so that its figure for any vector of widths needs no network.

thop looks at exact module types only: functional calls, subclasses and attention count as nothing there. The rules are
those of thop 0.1.1; a test compares them with the package on built networks.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruners.products import numel
from pruners.tracer import Tracer

Count = Callable[[Tracer, str, Any, Tensor, Tensor], None]


def _labels(tracer: Tracer, tensor: Tensor) -> tuple[Tensor, float]:
    labels = tracer.labels(tensor)
    if labels is None:
        labels = torch.zeros((), dtype=torch.int64).expand(tensor.shape)
    return numel(labels)


def _elements(tracer: Tracer, name: str, module: Any, tensor: Tensor, each: float) -> None:
    factor, scale = _labels(tracer, tensor)
    tracer.ledger.term("thop", name, type(module).__name__, scale=each * scale, factors=[factor])


def _convolution(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    outs, per_out = _labels(tracer, y)
    in_axis = 0 if module.transposed else 1
    ins = tracer.line(module.weight, in_axis)
    ins = torch.zeros(module.weight.size(in_axis), dtype=torch.int64) if ins is None else ins
    scale = per_out * math.prod(module.kernel_size)
    if module.transposed and module.groups > 1:  # the weight has a row per input, of which a group sees its share
        grouped = module.groups < module.in_channels
        ins = ins[: ins.numel() // module.groups] if grouped else torch.zeros(1, dtype=torch.int64)
    tracer.ledger.term("thop", name, "Conv", scale=scale, factors=[outs, ins])


def _linear(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    outs, per_out = _labels(tracer, y)
    ins = tracer.line(module.weight, 1)
    ins = torch.zeros(module.in_features, dtype=torch.int64) if ins is None else ins
    tracer.ledger.term("thop", name, "Linear", scale=per_out, factors=[outs, ins])


def _norm(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    affine = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    _elements(tracer, name, module, x, 4 if affine else 2)


def _prelu(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    _elements(tracer, name, module, x, 1)


def _softmax(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    size = x.size(module.dim)
    _elements(tracer, name, module, x, (3 * size - 1) / size)


def _average_pool(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    _elements(tracer, name, module, y, 1)


def _adaptive_pool(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    window = math.prod(a / b for a, b in zip(x.shape[2:], y.shape[2:], strict=True))
    _elements(tracer, name, module, y, window + 1)


def _upsample(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    each = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}.get(module.mode, 0)
    _elements(tracer, name, module, y, each)


def _recurrent(tracer: Tracer, name: str, module: Any, x: Tensor, y: Tensor) -> None:
    """Cells and layers of recurrent networks: nothing of them is cut, so this is one number."""
    size, gates = module.hidden_size, {"R": 1, "L": 4, "G": 3}[type(module).__name__[0]]
    extra = {1: 0, 4: 4, 3: 4}[gates] * size
    directions = 2 if getattr(module, "bidirectional", False) else 1
    num_layers = getattr(module, "num_layers", 1)
    steps = x.numel() // x.size(-1)
    total = 0
    for layer in range(num_layers):
        inputs = module.input_size if layer == 0 else size * directions
        each = (inputs + size) * size + size + (2 * size if module.bias else 0)
        total += (gates * each + extra) * directions
    tracer.ledger.term("thop", name, type(module).__name__, scale=total * steps, factors=[])


RULES: dict[type[nn.Module], Count] = {
    **dict.fromkeys([nn.Conv1d, nn.Conv2d, nn.Conv3d], _convolution),
    **dict.fromkeys([nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d], _convolution),
    **dict.fromkeys([nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm], _norm),
    **dict.fromkeys([nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d], _norm),
    **dict.fromkeys([nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell], _recurrent),
    nn.Linear: _linear,
    nn.PReLU: _prelu,
    nn.Softmax: _softmax,
    **dict.fromkeys([nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d], _average_pool),
    **dict.fromkeys([nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d], _adaptive_pool),
    **dict.fromkeys([nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d], _upsample),
}


@contextmanager
def thop_terms(tracer: Tracer, model: nn.Module) -> Iterator[None]:
    """Record thop's terms of every module call inside the block; the hooks are gone after it."""
    handles = []
    times = _appearances(model)

    def hook(name: str, rule: Count) -> Callable[..., None]:
        def count(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            first = out[0] if isinstance(out, tuple) else out
            if args and isinstance(args[0], Tensor) and isinstance(first, Tensor):
                for _ in range(times[module] ** 2):  # hooked and added up that often
                    rule(tracer, name, module, args[0], first)

        return count

    try:
        for name, module in model.named_modules():
            if type(module) in RULES:
                handles.append(module.register_forward_hook(hook(name, RULES[type(module)])))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _appearances(model: nn.Module) -> Counter[nn.Module]:
    """How often thop meets each module: once under every parent. A shared one it counts too often; so do we here."""
    counted: Counter[nn.Module] = Counter()

    def visit(module: nn.Module) -> None:
        for child in module.children():
            counted[child] += 1
            if type(child) not in RULES:
                visit(child)

    visit(model)
    counted[model] += 1
    return counted
