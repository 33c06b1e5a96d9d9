"""Numbers that modules keep as attributes, by full name: `layer1.0.width`, `layer1.0.splits.2`."""

from collections.abc import Iterator

from torch import nn

FOREIGN = ("torch.nn.", "torch.ao.")
LAYERS = (
    *(nn.modules.conv._ConvNd, nn.Linear, nn.modules.batchnorm._NormBase),
    *(nn.GroupNorm, nn.LayerNorm, nn.PReLU),
)
"""Layers whose numbers `slim.agree` keeps in line with their tensors."""


def numbers_of(module: nn.Module) -> dict[str, int]:
    """Positive integers among a module's public attributes, and in lists of integers; none of a plain layer."""
    if isinstance(module, LAYERS) or type(module).__module__.startswith(FOREIGN):
        return {}
    found = {}
    for name, value in vars(module).items():
        if type(value) is int:
            found[name] = value
        elif type(value) in {list, tuple} and all(type(item) is int for item in value):
            found.update({f"{name}.{index}": item for index, item in enumerate(value)})
    return {name: value for name, value in found.items() if value > 0 and not name.startswith("_")}


def all_numbers(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Full name and value of every number in a network."""
    for prefix, module in model.named_modules():
        for name, value in numbers_of(module).items():
            yield full_name(prefix, name), value


def full_name(prefix: str, name: str) -> str:
    """The name of a module's attribute from the network's root."""
    return f"{prefix}.{name}" if prefix else name


def get_number(model: nn.Module, path: str) -> int:
    """The number of this full name.

    Raises:
        AttributeError: there is none.
    """
    module, name, index = _find(model, path)
    value = getattr(module, name)
    return int(value if index is None else value[index])


def set_number(model: nn.Module, path: str, value: int) -> None:
    """Change the number of this full name.

    Raises:
        AttributeError: there is none.
    """
    module, name, index = _find(model, path)
    before = getattr(module, name)
    if index is None:
        setattr(module, name, value)
    else:
        setattr(module, name, type(before)([*before[:index], value, *before[index + 1 :]]))


def _find(model: nn.Module, path: str) -> tuple[nn.Module, str, int | None]:
    owner, _, name = path.rpartition(".")
    if not name.isdigit():
        return model.get_submodule(owner), name, None
    owner, _, attribute = owner.rpartition(".")
    return model.get_submodule(owner), attribute, int(name)
