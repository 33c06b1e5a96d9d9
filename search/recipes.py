"""Trainings and proxies as a configuration describes them."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evaluators.proxy import ProxySpec
from evaluators.recipe import Recipe
from search.config import Config
from spaces import UserError

EXPORT_RECIPE = Recipe(epochs=20, lr=0.02, warmup=0.05, distill_weight=0.7, temperature=4.0)
"""How an exported network is fine-tuned unless the configuration's `finetune` says otherwise."""


def recipe(options: Mapping[str, Any], *, key: str, base: Recipe | None = None) -> Recipe:
    """The training recipe that a user wrote, on top of `base`.

    Raises:
        UserError: an unknown option, or a value that it can't have.
    """
    known = [field.name for field in fields(Recipe)]
    for name in options:
        if name not in known:
            raise UserError(key, name, "no such training option", choices=known)
    values = {} if base is None else {name: getattr(base, name) for name in known}
    if {"epochs", "steps"} & set(options):
        values.pop("epochs", None)
        values.pop("steps", None)
    try:
        return TypeAdapter(Recipe).validate_python({**values, **options})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([key, *map(str, first["loc"])])
        raise UserError(
            place, first["input"] if first["loc"] else None, first["msg"].removeprefix("Value error, ")
        ) from error


def ladder(config: Config) -> tuple[ProxySpec, ...]:
    """The configuration's proxies, from the cheapest rung to the dearest."""
    return tuple(ProxySpec(name=rung.name, params=rung.params) for rung in config.ladder)


def final_recipe(config: Config) -> Recipe:
    """How the networks that a search found are trained for use.

    Raises:
        UserError: as `recipe`.
    """
    return recipe(config.finetune, key="finetune", base=EXPORT_RECIPE)


def final_ladder(config: Config) -> tuple[ProxySpec, ...]:
    """The configuration's rungs, and above them the training of what was found."""
    params = {name: value for name, value in asdict(final_recipe(config)).items() if value is not None}
    return (*ladder(config), ProxySpec(name="finetune", params=params))
