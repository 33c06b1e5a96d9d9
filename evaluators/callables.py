"""Functions that the user names as `package.module:function`, and calling them with checked parameters."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from spaces import UserError


def import_function(name: str, *, key: str) -> Callable[..., Any]:
    """The function that `name` = `package.module:function` stands for; modules of the current folder are found too.

    Raises:
        UserError: there is no such module or function, or the module can't be imported.
    """
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UserError(key, name, f"there is no module {error.name!r} here or among the installed") from error
        raise UserError(key, name, f"module {module_name!r} needs {error.name!r}, which is not installed") from error
    except (ImportError, SyntaxError) as error:
        raise UserError(key, name, f"module {module_name!r} can't be imported: {error}") from error
    except ValueError as error:  # an empty name, as in ":build"
        raise UserError(key, name, "must be package.module:function") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UserError(key, name, f"module {module_name!r} has no function {attribute!r}", choices=names)
    return function  # type: ignore[no-any-return]


def accepts(function: Callable[..., Any], parameter: str) -> bool:
    """Whether `function` can be called with the keyword `parameter`."""
    known = _parameters(function)
    return parameter in known or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())


def call(function: Callable[..., Any], params: Mapping[str, Any], *, key: str, given: Mapping[str, Any]) -> Any:
    """`function(**given, **params)`.

    Args:
        function: a plugin's or a user's function.
        params: what the user wrote; their names are checked against the signature.
        key: where the user wrote them, for messages.
        given: what paretoprune passes.

    Raises:
        UserError: a parameter is unknown, missing or of a value that the function refuses with a ValueError.
    """
    known = _parameters(function)
    for name in params:
        if name in given or not accepts(function, name):
            raise UserError(key, name, "no such parameter", choices=set(known) - set(given))
    try:
        _signature(function).bind(**given, **params)
    except TypeError as error:
        raise UserError(key, None, f"can't be called: {error}") from error
    try:
        return function(**given, **params)
    except ValueError as error:
        raise UserError(key, dict(params) or None, str(error)) from error


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Those that are still open: what a `functools.partial` has fixed stays fixed."""
    fixed = getattr(function, "keywords", {})
    return {name: p for name, p in _signature(function).parameters.items() if name not in fixed}


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """What builtins without a signature accept shows when they are called."""
    try:
        return inspect.signature(function)
    except ValueError:
        return inspect.Signature([inspect.Parameter("parameters", inspect.Parameter.VAR_KEYWORD)])
