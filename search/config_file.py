"""Reading a configuration: YAML text, overrides, defaults; every mistake is one line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from search.config import Config, Plugin, as_plugin
from search.targets import LatencyTarget, Target
from search.yaml_text import read_yaml
from spaces import UserError
from spaces.errors import nearest

PATH_KEYS = ("weights", "model.weights", "data.path", "latency.table")


def load_config(path: str | Path, *, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a file, with `key=value` overrides on top.

    Relative paths in the file are relative to the file; those in overrides to the current folder.

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is wrong.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError("config", str(path), "there is no such file")
    data = read_yaml(file.read_text(encoding="utf-8"), source=str(path))
    if not isinstance(data, dict):
        raise UserError(str(path), None, "must hold keys and values, such as `model: resnet20`")
    _anchor_paths(data, folder=file.resolve().parent)
    return parse_config(apply_overrides(data, overrides))


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`data` with `a.b=value` set for each override; values are YAML.

    Raises:
        UserError: an override has no `=`, or its path leads through something that has no keys.
    """
    result: Any = dict(data)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise UserError("--set", override, "must be key=value, such as trials=100 or sampler.name=nsga2")
        value = read_yaml(text, source=f"--set {key}")
        if key in PATH_KEYS and isinstance(value, str):
            value = _absolute(value, Path.cwd())
        path = key.split(".")
        if len(path) > 1 and path[0] not in result and path[0] in Config.model_fields:
            result[path[0]] = _defaults(path[0])
        result = _with(result, path, value, key=key)
    return dict(result)


def parse_config(data: Mapping[str, Any]) -> Config:
    """The checked configuration.

    Raises:
        UserError: the first thing that is wrong.
    """
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise _to_user_error(error) from error
    Target.parse(config.target_flops)
    if config.target_latency is not None:
        LatencyTarget.parse(config.target_latency)
    if config.weights is not None and config.model.weights is not None:
        raise UserError("weights", config.weights, "is also given as model.weights; keep one of the two")
    return config


def parse_plugin(text: str, *, key: str) -> Plugin:
    """A plugin that was written on the command line: a name, or `{name: greg, variant: 2}`.

    Raises:
        UserError: it is neither.
    """
    try:
        return as_plugin(read_yaml(text, source=key))
    except ValidationError as error:
        raise UserError(key, text, "should be a name, or {name: NAME, parameter: value}") from error


def dump_config(config: Config) -> str:
    """YAML that `parse_config` reads back as the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True), sort_keys=False)


def _with(node: Any, path: list[str], value: Any, *, key: str) -> Any:
    """`node` with the value at `path` replaced; a plugin given by its bare name gains keys."""
    head, rest = path[0], path[1:]
    if isinstance(node, list):
        if not head.isdigit() or int(head) >= len(node):
            raise UserError("--set", key, f"{head!r} must be a position in a list of {len(node)}")
        items = list(node)
        items[int(head)] = _with(items[int(head)], rest, value, key=key) if rest else value
        return items
    if isinstance(node, str):
        node = {"name": node}
    if not isinstance(node, Mapping | None):
        raise UserError("--set", key, f"there are no keys below a value such as {node!r}")
    child = (node or {}).get(head)
    return {**(node or {}), head: _with(child, rest, value, key=key) if rest else value}


def _defaults(field: str) -> Any:
    default = Config.model_fields[field].get_default()
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json", exclude_defaults=True)
    return [item.model_dump(mode="json") for item in default] if isinstance(default, tuple) else None


def _anchor_paths(data: dict[str, Any], *, folder: Path) -> None:
    for key in PATH_KEYS:
        *parents, last = key.split(".")
        node: Any = data
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        for place in (node, node.get("params") if isinstance(node, dict) else None):
            if isinstance(place, dict) and isinstance(place.get(last), str):
                place[last] = _absolute(place[last], folder)


def _absolute(text: str, folder: Path) -> str:
    return str((folder / Path(text).expanduser()).resolve())


def _to_user_error(error: ValidationError) -> UserError:
    """The first mistake; unknown keys before others, because a mistyped key is also a missing one."""
    detail = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    place = [str(part) for part in detail["loc"]]
    key = ".".join(place) or "config"
    if detail["type"] == "extra_forbidden":
        names = _field_names(place[:-1])
        near = nearest(place[-1], names)
        hint = f"did you mean {near!r}?" if near else f"valid: {', '.join(sorted(names))}"
        return UserError(key, None, f"unknown key; {hint}")
    if detail["type"] == "missing":
        return UserError(key, None, "is required")
    if detail["type"] == "literal_error":
        options = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return UserError(key, _short(detail["input"]), "is not one of the known values", choices=options)
    rule = _RULES.get(detail["type"], detail["msg"].removeprefix("Input "))
    return UserError(key, _short(detail["input"]), rule[0].lower() + rule[1:])


_RULES = {
    "model_type": "should be a name, or keys and values",
    "dict_type": "should be keys and values",
    "string_pattern_mismatch": "should be letters, digits, dots, dashes and underscores",
}


def _field_names(place: list[str]) -> tuple[str, ...]:
    """The keys that are valid at a place of the configuration."""
    model: type[BaseModel] = Config
    for part in place:
        if part.isdigit():
            continue
        inner = _model_in(model.model_fields[part].annotation)
        if inner is None:
            return ()
        model = inner
    return tuple(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The configuration model inside `Model`, `tuple[Model, ...]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _short(value: object) -> object:
    """Values are shown; long ones are cut, so that a message stays one line."""
    text = repr(value).replace("\n", " ")
    return value if len(text) <= 60 and "\n" not in str(value) else text[:57] + "..."
