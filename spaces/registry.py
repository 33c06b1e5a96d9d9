"""Plugins by name. A family is a folder: every module in it is imported, so a new plugin is one new file."""

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

from spaces.domain import Domain
from spaces.errors import UserError

Plugin = TypeVar("Plugin")
Decorated = TypeVar("Decorated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Generic[Plugin]):
    """One registered plugin and what `paretoprune list` shows of it."""

    name: str
    target: Plugin
    paper: str
    summary: str

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Hyper-parameters and their ranges; empty for plain functions."""
        return getattr(self.target, "domains", {})


class Registry(Generic[Plugin]):
    """The plugins of one family."""

    def __init__(self, kind: str, package: str) -> None:
        """Name the family.

        Args:
            kind: singular noun used in messages and as the entry-point group `paretoprune.<kind>s`.
            package: the folder whose modules hold the plugins, e.g. `pruners.methods`.
        """
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry[Plugin]] = {}
        self._discovered = False

    def register(self, name: str, *, paper: str = "") -> Callable[[Decorated], Decorated]:
        """Decorator: make a class or function known as `name`.

        Raises:
            ValueError: the name is taken.
        """

        def decorate(target: Decorated) -> Decorated:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            summary = (target.__doc__ or "").strip().splitlines()[0] if target.__doc__ else ""
            self._entries[name] = Entry(name=name, target=target, paper=paper, summary=summary)  # type: ignore[arg-type]
            return target

        return decorate

    def names(self) -> tuple[str, ...]:
        """Every known name, sorted."""
        self._discover()
        return tuple(sorted(self._entries))

    def __iter__(self) -> Iterator[Entry[Plugin]]:
        return iter([self._entries[name] for name in self.names()])

    def entry(self, name: str, *, key: str | None = None) -> Entry[Plugin]:
        """The plugin called `name`.

        Raises:
            UserError: there is none; the message offers the nearest name.
        """
        self._discover()
        if name not in self._entries:
            raise UserError(key or self.kind, name, f"unknown {self.kind}", choices=self._entries)
        return self._entries[name]

    def build(self, name: str, params: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """An instance of the plugin class `name` with its hyper-parameters checked against their domains.

        Raises:
            UserError: unknown plugin, unknown hyper-parameter, or a value outside its domain.
        """
        key = key or self.kind
        entry = self.entry(name, key=key)
        target: Any = entry.target
        known = {field.name: field for field in fields(target)} if is_dataclass(target) else {}
        for parameter, value in (params or {}).items():
            where = f"{key}.{name}.{parameter}"
            if parameter not in known:
                rule = f"{self.kind} {name!r} has no such hyper-parameter"
                raise UserError(f"{key}.{name}", parameter, rule, choices=known)
            domain = entry.domains.get(parameter)
            if domain is not None and not domain.contains(value):
                raise UserError(where, value, f"must be in {domain}")
        missing = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
        for parameter in missing:
            if parameter not in (params or {}):
                raise UserError(f"{key}.{name}.{parameter}", None, "is required")
        try:
            return target(**(params or {}))
        except ValueError as error:
            raise UserError(f"{key}.{name}", dict(params or {}), str(error)) from error

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for point in importlib.metadata.entry_points(group=f"paretoprune.{self.kind}s"):
            point.load()
