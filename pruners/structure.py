"""What a step changed in a network beyond its widths, as plain data, so that it can be built again."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pruners.attributes import all_numbers, set_number
from pruners.blocks import remove_blocks, removed_blocks
from pruners.grouped import describe, rebuild
from spaces import PlanError


def structure_of(model: nn.Module, dense: nn.Module) -> dict[str, Any]:
    """What differs from `dense` beside shapes: grouped layers, blocks left out, numbers that count channels.

    Raises:
        PlanError: a change that no step of ours makes, so that the network could not be built again.
    """
    grouped = describe(model)
    modules = dict(model.named_modules())
    left_out = list(removed_blocks(dense, model))
    replaced = (*grouped, *left_out)
    for name, module in dense.named_modules():
        inside = any(name == place or name.startswith(f"{place}.") for place in replaced)
        if not inside and type(modules.get(name)) is not type(module):
            raise PlanError(f"{name}: a {type(module).__name__} became something that can't be described")
    before = dict(all_numbers(dense))
    numbers = {name: value for name, value in all_numbers(model) if before.get(name, value) != value}
    return {"grouped": grouped, "left_out": left_out, "numbers": numbers}


def rebuild_structure(model: nn.Module, structure: Mapping[str, Any]) -> nn.Module:
    """Make the changes of `structure_of` in a dense network, in place, with undefined contents.

    Raises:
        PlanError: the structure names a layer that this network does not have.
    """
    names = {name for name, _ in model.named_modules()}
    for name in structure.get("left_out", ()):
        if name not in names:
            raise PlanError(f"the architecture names {name!r}, which this model does not have")
    model = rebuild(remove_blocks(model, structure.get("left_out", ())), structure.get("grouped", {}))
    for name, value in structure.get("numbers", {}).items():
        try:
            set_number(model, name, value)
        except AttributeError as error:
            raise PlanError(f"the architecture names {name!r}, which this model does not have") from error
    return model
