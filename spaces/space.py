"""The search space: parameters that a sampler draws become a candidate, and a known candidate becomes parameters."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from spaces.candidate import Candidate, Choice
from spaces.domain import Categorical, Domain, Float, Integer, Suggest, Value

NONE = "none"
"""The name of no step at all, beside the steps' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpace:
    """One plugin that a candidate may use.

    Attributes:
        name: as registered.
        domains: the hyper-parameters that are searched.
        defaults: their published values; a hyper-parameter without one starts at the middle of its domain.
        fixed: hyper-parameters that the user set; they go into every candidate and are not searched.
    """

    name: str
    domains: Mapping[str, Domain]
    defaults: Mapping[str, Value]
    fixed: Mapping[str, Value]

    def default_choice(self) -> Choice:
        """The plugin as published, as far as its domains allow."""
        searched = {key: _inside(domain, self.defaults.get(key)) for key, domain in self.domains.items()}
        return Choice.of(self.name, {**searched, **self.fixed})


NO_STEP = PluginSpace(name=NONE, domains={}, defaults={}, fixed={})
"""Leaves the network as it is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Every candidate of one search. What can take one value only is no parameter.

    Attributes:
        low_macs: smallest budget of a candidate.
        high_macs: largest budget; equal to `low_macs` where the budget is pinned.
        dense_macs: the budget parameter is a fraction of it, drawn evenly in its logarithm.
        allocators: the first one is the default; likewise for methods.
        steps: changes after pruning, `NO_STEP` among them where a network may stay as it is cut; first one: default.
        places: groups or stages whose removed fraction gets an offset of its own.
        offset: offsets lie in [-offset, offset].
        rounds: in how many cuts, with training between them, a network may be made; the first one is the default.
    """

    low_macs: int
    high_macs: int
    dense_macs: int
    allocators: tuple[PluginSpace, ...]
    methods: tuple[PluginSpace, ...]
    steps: tuple[PluginSpace, ...] = (NO_STEP,)
    places: tuple[str, ...] = ()
    offset: float = 0.4
    rounds: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not 0 < self.low_macs <= self.high_macs <= self.dense_macs:
            raise ValueError(f"a space needs 0 < low <= high <= dense MACs, got {self.low_macs}, {self.high_macs}")
        if not self.allocators or not self.methods or not self.steps:
            raise ValueError("a space needs an allocator, a method and a step or NO_STEP")
        if not self.rounds or min(self.rounds) < 1 or len(set(self.rounds)) < len(self.rounds):
            raise ValueError(f"a space needs different numbers of rounds, each at least 1, got {self.rounds}")

    def decode(self, suggest: Suggest) -> Candidate:
        """The candidate that the values of `suggest` describe; only the parameters that it needs are asked for."""
        allocator = _decode_plugin("allocator", self.allocators, suggest)
        method = _decode_plugin("method", self.methods, suggest)
        step = _decode_plugin("step", self.steps, suggest)
        domain = Float(low=-self.offset, high=self.offset)
        offsets = tuple((place, float(suggest(f"offset.{place}", domain))) for place in sorted(self.places))
        return Candidate(
            budget_macs=self._decode_budget(suggest),
            allocator=allocator,
            method=method,
            step=None if step.name == NONE else step,
            offsets=offsets,
            rounds=self._decode_rounds(suggest),
        )

    def encode(self, candidate: Candidate) -> dict[str, Value]:
        """The parameters for which `decode` gives `candidate` back.

        Raises:
            ValueError: the candidate is not in this space.
        """
        params: dict[str, Value] = {}
        if not self.low_macs <= candidate.budget_macs <= self.high_macs:
            raise ValueError(f"budget {candidate.budget_macs} is outside {self.low_macs}..{self.high_macs}")
        if self.low_macs < self.high_macs:
            params["budget"] = candidate.budget_macs / self.dense_macs
        params |= _encode_plugin("allocator", self.allocators, candidate.allocator)
        params |= _encode_plugin("method", self.methods, candidate.method)
        params |= _encode_plugin("step", self.steps, candidate.step or Choice.of(NONE))
        if candidate.rounds not in self.rounds:
            raise ValueError(f"{candidate.rounds} rounds are not in this space: {self.rounds}")
        if len(self.rounds) > 1:
            params["rounds"] = candidate.rounds
        offsets = dict(candidate.offsets)
        if unknown := set(offsets) - set(self.places):
            raise ValueError(f"no offset here for {sorted(unknown)}")
        return params | {f"offset.{place}": offsets.get(place, 0.0) for place in self.places}

    def anchors(self) -> Iterator[Candidate]:
        """Candidates to try first, most telling first, without offsets.

        The defaults at several budgets; in turn another allocator, method and step beside the defaults, so that few
        anchors show some of each; the other allocators at the other budgets.
        """
        first, *allocators = [plugin.default_choice() for plugin in self.allocators]
        method, *methods = [plugin.default_choice() for plugin in self.methods]
        step, *steps = [plugin.default_choice() for plugin in self.steps]
        middle, *others = self.anchor_budgets()
        for budget in (middle, *others):
            yield self._plain(budget, first, method, step)
        in_turn = zip_longest(
            (self._plain(middle, other, method, step) for other in allocators),
            (self._plain(middle, first, other, step) for other in methods),
            (self._plain(middle, first, method, other) for other in steps),
        )
        yield from (candidate for three in in_turn for candidate in three if candidate is not None)
        for budget in others:
            for allocator in allocators:
                yield self._plain(budget, allocator, method, step)

    def _plain(self, budget_macs: int, allocator: Choice, method: Choice, step: Choice) -> Candidate:
        return Candidate(
            budget_macs=budget_macs,
            allocator=allocator,
            method=method,
            step=None if step.name == NONE else step,
            offsets=tuple((place, 0.0) for place in sorted(self.places)),
            rounds=self.rounds[0],
        )

    def anchor_budgets(self) -> list[int]:
        """The middle, both ends and the quarters of the range, evenly spaced in the logarithm."""
        span = math.log(self.high_macs / self.low_macs)
        budgets = [round(self.low_macs * math.exp(span * share)) for share in (0.5, 0.0, 1.0, 0.25, 0.75)]
        return list(dict.fromkeys(min(max(macs, self.low_macs), self.high_macs) for macs in budgets))

    def _decode_budget(self, suggest: Suggest) -> int:
        if self.low_macs == self.high_macs:
            return self.low_macs
        domain = Float(low=self.low_macs / self.dense_macs, high=self.high_macs / self.dense_macs, log=True)
        macs = round(float(suggest("budget", domain)) * self.dense_macs)
        return min(max(macs, self.low_macs), self.high_macs)

    def _decode_rounds(self, suggest: Suggest) -> int:
        return int(suggest("rounds", Categorical(choices=self.rounds))) if len(self.rounds) > 1 else self.rounds[0]


def _decode_plugin(role: str, plugins: Sequence[PluginSpace], suggest: Suggest) -> Choice:
    name: Value = plugins[0].name
    if len(plugins) > 1:
        name = suggest(role, Categorical(choices=tuple(plugin.name for plugin in plugins)))
    return _decode_params(role, _find(plugins, str(name)), suggest)


def _decode_params(role: str, plugin: PluginSpace, suggest: Suggest) -> Choice:
    drawn = {key: suggest(f"{role}.{plugin.name}.{key}", domain) for key, domain in sorted(plugin.domains.items())}
    return Choice.of(plugin.name, {**drawn, **plugin.fixed})


def _encode_plugin(role: str, plugins: Sequence[PluginSpace], choice: Choice) -> dict[str, Value]:
    name: dict[str, Value] = {role: choice.name} if len(plugins) > 1 else {}
    return name | _encode_params(role, plugins, choice)


def _encode_params(role: str, plugins: Sequence[PluginSpace], choice: Choice) -> dict[str, Value]:
    plugin = _find(plugins, choice.name)
    given = dict(choice.params)
    if any(given.get(key, value) != value for key, value in plugin.fixed.items()):
        raise ValueError(f"{role} {plugin.name!r} is fixed to {dict(plugin.fixed)} in this space, got {given}")
    values = {key: given.get(key, _inside(domain, plugin.defaults.get(key))) for key, domain in plugin.domains.items()}
    for key, value in values.items():
        if not plugin.domains[key].contains(value):
            raise ValueError(f"{role}.{plugin.name}.{key} = {value!r} is outside {plugin.domains[key]}")
    return {f"{role}.{plugin.name}.{key}": value for key, value in values.items()}


def _find(plugins: Sequence[PluginSpace], name: str) -> PluginSpace:
    found = next((plugin for plugin in plugins if plugin.name == name), None)
    if found is None:
        raise ValueError(f"{name!r} is not in this space: {[plugin.name for plugin in plugins]}")
    return found


def _inside(domain: Domain, value: Value | None) -> Value:
    """The value, or the nearest one that the domain has; its middle where there is none."""
    if value is not None and domain.contains(value):
        return value
    if isinstance(domain, Categorical):
        return domain.choices[0]
    middle = math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2
    wanted = float(value) if isinstance(value, int | float) else middle
    clipped = min(max(wanted, domain.low), domain.high)
    return round(clipped) if isinstance(domain, Integer) else clipped
