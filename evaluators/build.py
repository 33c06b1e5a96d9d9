"""From a name to a network, with its weights."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from evaluators.callables import accepts, call, import_function
from evaluators.registries import MODELS
from evaluators.specs import ModelSpec
from evaluators.weights import load_weights
from spaces import UserError

_AUXILIARY = ("googlenet", "inception_v3")
"""torchvision's networks with extra classifiers used in training only; paretoprune builds them without."""


def torchvision_names() -> tuple[str, ...]:
    """Names of the classification networks of torchvision, sorted."""
    from torchvision import models

    return tuple(sorted(models.list_models(module=models)))


def create_model(spec: ModelSpec, *, num_classes: int, in_channels: int, seed: int = 0) -> nn.Module:
    """The network of `spec` in evaluation mode, with fresh weights.

    The weights depend on `seed` alone, and torch's global random state is left as it was.

    Raises:
        UserError: unknown name or parameter, or the function does not return a network.
    """
    factory, given = _factory(spec.name, num_classes=num_classes, in_channels=in_channels)
    defaults: dict[str, Any] = {}
    if _torchvision_name(spec.name) in _AUXILIARY:
        defaults = {"aux_logits": False, "init_weights": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = call(factory, {**defaults, **spec.params}, key="model.params", given=given)
    if not isinstance(model, nn.Module):
        raise UserError("model.name", spec.name, f"must return a torch.nn.Module, returned {type(model).__name__}")
    return model.eval()


def build_model(spec: ModelSpec, *, num_classes: int, in_channels: int, seed: int = 0) -> nn.Module:
    """The network of `spec` in evaluation mode with its weights, or untrained where it names none; on the processor.

    Raises:
        UserError: as `create_model`; or the weights are missing, unreadable or of another network.
    """
    model = create_model(spec, num_classes=num_classes, in_channels=in_channels, seed=seed)
    if spec.weights is not None:
        ignored = ("aux1.", "aux2.", "AuxLogits.") if _torchvision_name(spec.name) in _AUXILIARY else ()
        load_weights(model, spec.weights, num_classes=num_classes, ignored_prefixes=ignored)
    return model


def _torchvision_name(name: str) -> str | None:
    if name in MODELS.names() or (":" in name and not name.startswith("torchvision:")):
        return None
    return name.removeprefix("torchvision:")


def _factory(name: str, *, num_classes: int, in_channels: int) -> tuple[Callable[..., Any], Mapping[str, Any]]:
    """The function to call and what to pass to it."""
    bare = _torchvision_name(name)
    if bare is not None:
        return _torchvision_factory(bare, written=name, in_channels=in_channels), {"num_classes": num_classes}
    factory = import_function(name, key="model.name") if ":" in name else MODELS.entry(name, key="model.name").target
    given = {"num_classes": num_classes, "in_channels": in_channels}
    return factory, {key: value for key, value in given.items() if accepts(factory, key)}


def _torchvision_factory(name: str, *, written: str, in_channels: int) -> Callable[..., Any]:
    from torchvision import models

    known = torchvision_names()
    if name not in known:
        names = {f"torchvision:{n}" for n in known} if written != name else {*known, *MODELS.names()}
        raise UserError("model.name", written, "unknown model", choices=names)
    if in_channels != 3:
        rule = f"torchvision's networks take 3 channels, the data has {in_channels}; set data.params.channels to 3"
        raise UserError("model.name", written, rule)
    builder: Callable[..., Any] = models.get_model_builder(name)
    return builder
