"""One forward pass with an integer label beside every element.

The dispatch mode below sees every operator that really runs, so functional code, views and shuffles need no special
treatment: `pruners.operators` says what each operator does to labels, and an operator without a rule leaves the
channels it touches dense. Label arrays keep dimensions along which nothing changes at stride 0, so that a feature map
of 64 x 112 x 112 elements usually costs 64 labels.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from pruners.ledger import CONSTANT, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What is known of one tensor.

    Attributes:
        arrays: label arrays of the tensor's shape. An activation has one, under key 0; a parameter one per axis longer
            than 1, under that axis' number.
        parameter: whether the tensor is (a view of) a parameter or buffer.
    """

    arrays: Mapping[int, Tensor]
    parameter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operator call, after it ran."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    def argument(self, name: str, default: Any = None) -> Any:
        """The argument that the operator's schema calls `name`."""
        for index, argument in enumerate(self.func._schema.arguments):
            if argument.name == name:
                return self.args[index] if index < len(self.args) else self.kwargs.get(name, default)
        return default


Rule = Callable[["Tracer", Call], None]
NOTHING = "nothing comes here in the example, so no cut could be proven"
"""Why layers of a detector that looks into regions stay dense where the example has none."""


def compact(labels: Tensor) -> Tensor:
    """The same values with stride 0 along every dimension in which they do not change."""
    for dim in range(labels.dim()):
        if labels.size(dim) > 1 and labels.stride(dim) != 0:
            first = labels.narrow(dim, 0, 1)
            if bool((labels == first).all()):
                labels = first.expand(labels.shape)
    return labels


def varies(labels: Tensor, dim: int) -> bool:
    """Whether compact `labels` change along `dim`."""
    return labels.size(dim) > 1 and labels.stride(dim) != 0


def only_changing(labels: Tensor) -> int | None:
    """The dimension along which compact `labels` change, if it is one alone."""
    found = [dim for dim in range(labels.dim()) if varies(labels, dim)]
    return found[0] if len(found) == 1 else None


def core(*arrays: Tensor) -> tuple[Tensor, ...]:
    """Arrays of one shape, cut to size 1 along dimensions in which none of them changes."""
    for dim in range(arrays[0].dim()):
        if arrays[0].size(dim) > 1 and not any(varies(array, dim) for array in arrays):
            arrays = tuple(array.narrow(dim, 0, 1) for array in arrays)
    return arrays


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)


class Tracer(TorchDispatchMode):
    """Carries labels through one forward pass and writes what it learns into a `Ledger`."""

    def __init__(self, model: nn.Module, rules: Callable[[Any], Rule], *, always: Container[Any] = ()) -> None:
        """Prepare a trace.

        Args:
            model: its parameters and buffers are recognised by identity.
            rules: answers an operator with its rule.
            always: operators whose rule runs even between constants, since they cost compute.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.ledger = Ledger()
        self._rules = rules
        self._always = always
        self._names = {id(tensor): name for name, tensor in named_tensors(model)}
        self._known = WeakTensorKeyDictionary()
        self.running: list[tuple[str, nn.Module]] = []  # name and module whose code runs, innermost last

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func._overloadpacket in self._always or any(
            self.info(tensor) is not None for tensor in tensors_in([args, kwargs])
        ):
            call = Call(func=func, args=tuple(args), kwargs=kwargs, out=out)
            made = [tensor for tensor in tensors_in(out) if tensor.is_floating_point()]
            if made and not any(tensor.numel() for tensor in made):
                freeze_call(self, call, NOTHING)
            else:
                self._rules(func)(self, call)
        return out

    def info(self, tensor: Any) -> Info | None:
        """What is known of a tensor; None for anything constant, which indices, counts and conditions are taken for."""
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            return None
        found: Info | None = self._known.get(tensor)
        if found is None and id(tensor) in self._names:
            name = self._names[id(tensor)]
            arrays = {}
            for axis, size in enumerate(tensor.shape):
                if size > 1:
                    shape = [1] * tensor.dim()
                    shape[axis] = size
                    arrays[axis] = self.ledger.nodes(name, axis, size).view(shape).expand(tensor.shape)
            found = Info(arrays=arrays, parameter=True)
            self._known[tensor] = found
        return found

    def name(self, tensor: Any) -> str | None:
        """The state-dict name of a parameter or buffer, None for other tensors."""
        return self._names.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def labels(self, tensor: Any) -> Tensor | None:
        """An activation's labels, shape of the tensor; a parameter's where it has one axis; None for a constant."""
        info = self.info(tensor)
        if info is None or not info.arrays:
            return None
        if len(info.arrays) == 1:
            array = next(iter(info.arrays.values()))
            if info.parameter:
                self.mark(core(array)[0], "scale")
            return array
        reason = "weights computed in the forward pass"
        for array in info.arrays.values():
            self.ledger.freeze(array, reason)
        return self.ledger.opaque(reason).view([1] * tensor.dim()).expand(tensor.shape)

    def set_labels(self, tensor: Tensor, labels: Tensor) -> None:
        """Make `labels`, broadcast to the tensor's shape, the tensor's own."""
        self._known[tensor] = Info(arrays={0: compact(labels.expand(tensor.shape))}, parameter=False)

    def set_info(self, tensor: Tensor, info: Info) -> None:
        """Describe a view of a parameter."""
        self._known[tensor] = info

    def line(self, tensor: Tensor, dim: int) -> Tensor | None:
        """The nodes of a (view of a) parameter along `dim`, shape (size,); None where there is no such plain axis."""
        info = self.info(tensor)
        if info is None or not info.parameter:
            return None
        dim %= tensor.dim()
        for array in info.arrays.values():
            if varies(array, dim) and not any(varies(array, other) for other in range(array.dim()) if other != dim):
                index = [slice(None) if other == dim else 0 for other in range(array.dim())]
                return array[tuple(index)]
        return None

    def per_channel(self, labels: Tensor, dim: int) -> Tensor:
        """One label per index of `dim`, shape (size,); what else it meets at that index is tied to it."""
        rows = core(labels)[0]
        rows = rows.movedim(dim, 0)
        if rows.size(0) != labels.size(dim):
            rows = rows.expand(labels.size(dim), *rows.shape[1:])
        rows = rows.reshape(labels.size(dim), -1)
        first = rows.amax(dim=1)
        if rows.size(1) > 1:
            self.ledger.tie(rows, first[:, None].expand_as(rows))
        return first

    def mark(self, nodes: Tensor, role: Any) -> None:
        """Give the axis that owns `nodes` its role."""
        axis = self.ledger.owner(nodes)
        self.ledger.role(axis.tensor, axis.axis, role)


def freeze_call(tracer: Tracer, call: Call, reason: str) -> None:
    """Leave every channel that a call touches dense, and its outputs without channels."""
    for tensor in tensors_in([call.args, call.kwargs]):
        info = tracer.info(tensor)
        for array in info.arrays.values() if info is not None else ():
            tracer.ledger.freeze(core(array)[0], reason)
    for tensor in tensors_in(call.out):
        if tensor.is_floating_point():
            tracer.set_labels(tensor, tracer.ledger.opaque(reason).view([1] * tensor.dim()))


def named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters, then buffers (non-persistent ones too); a shared tensor once, under its first name."""
    modules = [(f"{prefix}." if prefix else "", module) for prefix, module in model.named_modules()]
    seen: set[int] = set()
    for kind in ("_parameters", "_buffers"):
        for prefix, module in modules:
            for name, tensor in module.__dict__[kind].items():
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield prefix + name, tensor


def constant_labels(shape: Sequence[int]) -> Tensor:
    """Labels of a constant."""
    return torch.tensor([CONSTANT]).view([1] * len(shape)).expand(tuple(shape))
