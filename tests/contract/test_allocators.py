"""What every allocator has to do; the registry is the parameter list."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pruners import ALLOCATORS, make_plan
from pruners.budget import rounded_widths
from pruners.evidence import KINDS
from spaces import Candidate, Choice, Entry
from tests.contract.evidence import NETWORKS, case, contents, corners, defaults, same

ENTRIES = [pytest.param(entry, id=entry.name) for entry in ALLOCATORS]
SOLVED = [pytest.param(entry, id=entry.name) for entry in ALLOCATORS if entry.target.scalar is not None]
every_allocator = pytest.mark.parametrize("entry", ENTRIES)
every_network = pytest.mark.parametrize("network", NETWORKS)


def candidate(name: str, params: dict[str, Any], budget_macs: int) -> Candidate:
    return Candidate(budget_macs=budget_macs, allocator=Choice.of(name, params), method=Choice.of("l1"))


@every_allocator
def test_says_what_it_is(entry: Entry[Any]) -> None:
    assert entry.summary
    assert entry.target.needs <= KINDS
    names = set(entry.target.__dataclass_fields__)
    assert set(entry.domains) <= names
    assert entry.target.scalar is None or entry.target.scalar in names - set(entry.domains)
    low, high = entry.target.scalar_range
    assert low < high


@every_allocator
def test_published_settings_are_in_the_domains(entry: Entry[Any]) -> None:
    assert ALLOCATORS.build(entry.name, defaults(entry)) == ALLOCATORS.build(entry.name)


@every_allocator
def test_travels(entry: Entry[Any]) -> None:
    for params in corners(entry):
        plugin = ALLOCATORS.build(entry.name, params)
        assert pickle.loads(pickle.dumps(plugin)) == plugin
        one = candidate(entry.name, params, 1)
        assert Candidate.from_json(one.to_json()) == one


@every_allocator
@every_network
def test_one_fraction_per_group(entry: Entry[Any], network: str) -> None:
    found = case(network)
    before = contents(found.evidence)
    for params in corners(entry):
        ratios = ALLOCATORS.build(entry.name, params).ratios(found.analysis.groups, found.evidence)
        assert ratios.shape == (len(found.analysis.groups),)
        assert ratios.dtype == np.float64
        assert ((ratios >= -1e-9) & (ratios <= 1 + 1e-9)).all()
    assert same(contents(found.evidence), before)


@pytest.mark.parametrize("entry", SOLVED)
@every_network
def test_more_of_the_scalar_never_costs_more(entry: Entry[Any], network: str) -> None:
    found = case(network)
    groups, cost = found.analysis.groups, found.analysis.cost
    for params in corners(entry):
        plugin = ALLOCATORS.build(entry.name, params)
        values = np.linspace(*entry.target.scalar_range, 33)
        vectors = [replace(plugin, **{entry.target.scalar: float(v)}).ratios(groups, found.evidence) for v in values]
        macs = cost.macs(rounded_widths(np.stack(vectors), groups))
        assert (np.diff(macs) <= 0).all(), params


@every_allocator
@every_network
@pytest.mark.parametrize("fraction", [0.3, 0.7])
def test_meets_the_budget_and_no_channel_more_fits(entry: Entry[Any], network: str, fraction: float) -> None:
    found = case(network)
    groups, cost = found.analysis.groups, found.analysis.cost
    budget = max(cost.min_macs, int(cost.dense_macs * fraction))
    for params in corners(entry):
        plan = make_plan(candidate(entry.name, params, budget), found.analysis, found.evidence)
        kept = plan.counts(groups)
        assert int(cost.macs(kept)[0]) <= budget
        for index, group in enumerate(groups):
            larger = kept.copy()
            larger[index] += group.multiple_of
            assert larger[index] > group.max_keep or int(cost.macs(larger)[0]) > budget


@every_allocator
@every_network
def test_same_answer_in_another_process(entry: Entry[Any], network: str) -> None:
    found = case(network)
    fresh = pickle.loads(pickle.dumps(found.evidence))
    one = candidate(entry.name, {}, found.analysis.cost.dense_macs // 2)
    assert make_plan(one, found.analysis, found.evidence) == make_plan(one, copy.deepcopy(found.analysis), fresh)


@every_allocator
def test_needs_no_more_than_it_says(entry: Entry[Any]) -> None:
    found = case("residual", frozenset(entry.target.needs | {"weights"}))
    for params in corners(entry):
        ALLOCATORS.build(entry.name, params).ratios(found.analysis.groups, found.evidence)
