"""From registries and a configuration to the plain plugin data of the search space."""

from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from search.config import Config, Plugin
from search.targets import Budget
from spaces import ChannelGroup, Entry, Registry, UserError
from spaces.space import NO_STEP, NONE, PluginSpace, Space

_FIRST = {"allocator": "uniform", "method": "obs", "step": "reconstruct"}
"""The default of each family where it is among the choices: it goes first, and anchors vary the others against it."""

_NOT_SEARCHED = {"explicit"}
"""Allocators that only carry a vector which somebody wrote down."""

_EVERY = (Plugin(name="all"),)
_REFITTED = (Plugin(name="reconstruct", params={"ridge": 1e-3}),)
_PLAIN: dict[str, tuple[Plugin, ...]] = {
    "allocator": (Plugin(name="uniform"),),
    "method": (Plugin(name="obs"),),
    "step": _REFITTED,
}
_PRESETS: dict[str, dict[str, tuple[Plugin, ...]]] = {
    "layerwise": _PLAIN,
    "stagewise": _PLAIN,
    "methods": {"allocator": _EVERY, "method": _EVERY, "step": _REFITTED},
    "full": {"allocator": _EVERY, "method": _EVERY, "step": _EVERY},
}
"""What a preset searches where the configuration names nothing of a family."""


def build_space(config: Config, *, groups: Sequence[ChannelGroup], budget: Budget, registries: Any) -> Space:
    """The space that a configuration asks for on one network.

    Args:
        config: preset, plugins and offsets.
        groups: of the dense network.
        budget: what candidates may spend.
        registries: with attributes ALLOCATORS, METHODS and STEPS.

    Raises:
        UserError: an unknown plugin or hyper-parameter.
    """
    asked = config.space
    stages = sorted({group.stage for group in groups})
    names = [group.name for group in groups]
    places = {"methods": [], "stagewise": stages}.get(asked.preset, names)
    return Space(
        low_macs=budget.low_macs,
        high_macs=budget.high_macs,
        dense_macs=budget.dense_macs,
        allocators=_plugin_spaces(registries.ALLOCATORS, asked.allocators, preset=asked.preset),
        methods=_plugin_spaces(registries.METHODS, asked.methods, preset=asked.preset),
        steps=_plugin_spaces(registries.STEPS, asked.steps, preset=asked.preset),
        places=tuple(places),
        offset=asked.offset,
        rounds=asked.rounds,
    )


def registry_of(kind: str) -> Registry[Any]:
    """The registry that `paretoprune list KIND` shows."""
    import evaluators.registries
    import pruners
    import search.samplers

    registries = {
        "methods": pruners.METHODS,
        "allocators": pruners.ALLOCATORS,
        "steps": pruners.STEPS,
        "regimes": evaluators.registries.REGIMES,
        "proxies": evaluators.registries.PROXIES,
        "models": evaluators.registries.MODELS,
        "samplers": search.samplers.SAMPLERS,
        "datasets": evaluators.registries.DATASETS,
    }
    registry: Registry[Any] = registries[kind]  # type: ignore[assignment]
    return registry


def check_plugins(config: Config, *, registries: Any) -> None:
    """Find unknown names and hyper-parameters before there is a network.

    Raises:
        UserError: the first of them.
    """
    for key, registry in (
        ("allocators", registries.ALLOCATORS),
        ("methods", registries.METHODS),
        ("steps", registries.STEPS),
    ):
        asked = getattr(config.space, key)
        if asked == () and key != "steps":
            raise UserError(f"space.{key}", None, "needs at least one", choices=registry.names())
        _plugin_spaces(registry, asked, preset=config.space.preset)


def published(registry: Registry[Any]) -> tuple[PluginSpace, ...]:
    """Every plugin of a family that may be searched, with all its hyper-parameters."""
    return _plugin_spaces(registry, _EVERY, preset="full")


def _plugin_spaces(registry: Registry[Any], asked: Sequence[Plugin] | None, *, preset: str) -> tuple[PluginSpace, ...]:
    key = f"space.{registry.kind}s"
    asked = _PRESETS[preset][registry.kind] if asked is None else asked
    optional = registry.kind == "step"
    if tuple(asked) == _EVERY:
        asked = [Plugin(name=name) for name in registry.names() if name not in _NOT_SEARCHED]
        asked += [Plugin(name=NONE)] if optional else []
    if not asked and optional:
        return (NO_STEP,)
    ordered = sorted(asked, key=lambda plugin: plugin.name != _FIRST[registry.kind])
    return tuple(_plugin_space(registry, plugin, key=key) for plugin in ordered)


def _plugin_space(registry: Registry[Any], plugin: Plugin, *, key: str) -> PluginSpace:
    if registry.kind == "step" and plugin.name == NONE:
        return NO_STEP
    entry = registry.entry(plugin.name, key=key)
    registry.build(plugin.name, plugin.params, key=key)
    domains = {name: domain for name, domain in entry.domains.items() if name not in plugin.params}
    return PluginSpace(name=plugin.name, domains=domains, defaults=_defaults(entry), fixed=dict(plugin.params))


def _defaults(entry: Entry[Any]) -> dict[str, Any]:
    if not is_dataclass(entry.target):
        return {}
    found: Iterable[tuple[str, Any]] = ((field.name, field.default) for field in fields(entry.target))
    return {name: value for name, value in found if value is not MISSING and value is not None}
