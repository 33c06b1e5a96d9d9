"""What every criterion has to do; the registry is the parameter list."""

import copy
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch

from pruners import METHODS, make_plan
from pruners.decide import choose
from pruners.evidence import KINDS
from spaces import Candidate, Choice, Entry
from tests.contract.evidence import NETWORKS, case, contents, corners, defaults, same

ENTRIES = [pytest.param(entry, id=entry.name) for entry in METHODS]
SCORING = [pytest.param(entry, id=entry.name) for entry in METHODS if not hasattr(entry.target, "keep")]
every_method = pytest.mark.parametrize("entry", ENTRIES)
every_network = pytest.mark.parametrize("network", NETWORKS)


@every_method
def test_says_what_it_is(entry: Entry[Any]) -> None:
    assert entry.summary
    assert entry.target.needs <= KINDS
    assert set(entry.domains) <= set(entry.target.__dataclass_fields__)
    assert hasattr(entry.target, "keep") or hasattr(entry.target, "score")
    assert getattr(entry.target, "fidelity", "faithful")
    plugin = METHODS.build(entry.name)
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        plugin.anything = 1


@every_method
def test_published_settings_are_in_the_domains(entry: Entry[Any]) -> None:
    assert METHODS.build(entry.name, defaults(entry)) == METHODS.build(entry.name)


@every_method
def test_travels(entry: Entry[Any]) -> None:
    for params in corners(entry):
        plugin = METHODS.build(entry.name, params)
        assert pickle.loads(pickle.dumps(plugin)) == plugin
        candidate = Candidate(budget_macs=1, allocator=Choice.of("uniform"), method=Choice.of(entry.name, params))
        assert Candidate.from_json(candidate.to_json()) == candidate


@pytest.mark.parametrize("entry", SCORING)
@every_network
def test_one_finite_number_per_channel(entry: Entry[Any], network: str) -> None:
    found = case(network)
    for params in corners(entry):
        for group in found.analysis.groups:
            score = METHODS.build(entry.name, params).score(group, found.evidence)
            assert score.shape == (group.width,)
            assert score.is_floating_point() or score.dtype == torch.int64
            assert bool(torch.isfinite(score).all())


@every_method
@every_network
def test_keeps_as_many_as_asked(entry: Entry[Any], network: str) -> None:
    found = case(network)
    method = METHODS.build(entry.name)
    for group in found.analysis.groups:
        for count in range(1, group.width + 1):
            kept = choose(method, group, count, found.evidence)
            assert len(kept) == len(set(kept)) == count
            assert list(kept) == sorted(kept)
            assert 0 <= kept[0] <= kept[-1] < group.width


@pytest.mark.parametrize("entry", SCORING)
@every_network
def test_low_scores_go_first(entry: Entry[Any], network: str) -> None:
    found = case(network)
    method = METHODS.build(entry.name)
    for group in found.analysis.groups:
        score = method.score(group, found.evidence)
        kept = choose(method, group, group.width // 2, found.evidence)
        gone = sorted(set(range(group.width)).difference(kept))
        assert score[list(kept)].min() >= score[gone].max()


@every_method
@every_network
def test_reads_and_leaves_evidence_as_it_was(entry: Entry[Any], network: str) -> None:
    found = case(network)
    before = contents(found.evidence)
    for group in found.analysis.groups:
        choose(METHODS.build(entry.name), group, max(1, group.width // 2), found.evidence)
    assert same(contents(found.evidence), before)


@every_method
@every_network
def test_same_answer_in_another_process(entry: Entry[Any], network: str) -> None:
    found = case(network)
    fresh = pickle.loads(pickle.dumps(found.evidence))
    budget = found.analysis.cost.dense_macs * 6 // 10
    candidate = Candidate(budget_macs=budget, allocator=Choice.of("uniform"), method=Choice.of(entry.name))
    one = make_plan(candidate, found.analysis, found.evidence)
    two = make_plan(candidate, copy.deepcopy(found.analysis), fresh)
    assert one == two


@every_method
def test_needs_no_more_than_it_says(entry: Entry[Any]) -> None:
    found = case("residual", frozenset(entry.target.needs | {"weights"}))
    for params in corners(entry):
        for group in found.analysis.groups:
            choose(METHODS.build(entry.name, params), group, max(1, group.width // 2), found.evidence)
