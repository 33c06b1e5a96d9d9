"""Copy a network's structure quickly.

`copy.deepcopy` spends most of its time on what never differs: a dozen empty hook dictionaries and the numbers of every
layer. Here plain modules, dictionaries and lists are copied directly, and only what is neither goes through deepcopy,
with the same memo, so that shared parts stay shared.
"""

import copy
import functools
import types
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

ATOMS = frozenset(
    {
        *(int, float, complex, bool, str, bytes, type(None), type, type(Ellipsis), range, slice),
        *(types.FunctionType, types.BuiltinFunctionType, types.ModuleType),
        *(torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format),
    }
)
OWN_WAYS = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__new__", "__getnewargs__", "__slots__")


def clone(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy of `value`; objects whose id is in `memo` are replaced by what stands there."""
    kind = type(value)
    if kind in ATOMS:
        return value
    known = memo.get(id(value))
    if known is not None:
        return known
    if kind is dict or kind is OrderedDict:
        table = memo[id(value)] = kind()
        for key, item in value.items():
            table[key if type(key) in ATOMS else clone(key, memo)] = item if type(item) in ATOMS else clone(item, memo)
        return table
    if kind is set and all(type(item) in ATOMS for item in value):
        return memo.setdefault(id(value), set(value))
    if kind is list:
        items = memo[id(value)] = []
        items.extend(clone(item, memo) for item in value)
        return items
    if kind is tuple and all(type(item) in ATOMS for item in value):
        return value
    if isinstance(value, nn.Module) and _is_plain(kind):  # type: ignore[arg-type]
        return _clone_module(value, memo)
    if kind is Tensor and not value.is_leaf:
        return memo.setdefault(id(value), value.detach().clone())
    return copy.deepcopy(value, memo)


def _clone_module(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    copied: nn.Module = object.__new__(type(module))
    memo[id(module)] = copied
    state = copied.__dict__
    for name, item in module.__dict__.items():
        kind = type(item)
        if kind in ATOMS:
            state[name] = item
        elif (kind is OrderedDict or kind is dict or kind is set) and not item:  # hooks, mostly
            state[name] = kind()
        else:
            state[name] = clone(item, memo)
    return copied


@functools.cache
def _is_plain(kind: type) -> bool:
    """Whether a module's dictionary is all there is to it."""
    for base in kind.__mro__:
        if base is nn.Module:
            break
        if any(name in base.__dict__ for name in OWN_WAYS):
            return False
        if "__setstate__" in base.__dict__ and not base.__module__.startswith("torch.nn."):
            return False
    return True
