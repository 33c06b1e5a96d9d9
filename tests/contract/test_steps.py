"""What every step has to do; the registry is the parameter list."""

import pickle
from typing import Any

import pytest
import torch

from pruners import STEPS, Plan, count, make_plan, slim
from pruners.evidence import KINDS
from spaces import Candidate, Choice, Entry
from tests.contract.cutting import snapshot, storages
from tests.contract.evidence import Case, case, contents, corners, defaults, same

ENTRIES = [pytest.param(entry, id=entry.name) for entry in STEPS]
every_step = pytest.mark.parametrize("entry", ENTRIES)
every_network = pytest.mark.parametrize("network", ["residual", "depthwise", "grouped", "flatten", "residual_blocks"])


def planned(found: Case) -> Plan:
    half = found.analysis.cost.dense_macs // 2
    candidate = Candidate(budget_macs=half, allocator=Choice.of("uniform"), method=Choice.of("l1"))
    return make_plan(candidate, found.analysis, found.evidence)


def applied(entry: Entry[Any], params: dict[str, Any], found: Case, plan: Plan) -> torch.nn.Module:
    small = slim(found.model, found.analysis.groups, plan)
    context: dict[str, Any] = {"groups": found.analysis.groups, "plan": plan}
    step = STEPS.build(entry.name, params)
    finished: torch.nn.Module = step.apply(small, **context, dense=found.model, evidence=found.evidence)
    return finished.eval()


@every_step
def test_says_what_it_is(entry: Entry[Any]) -> None:
    assert entry.summary
    assert entry.target.needs <= KINDS
    assert set(entry.domains) <= set(entry.target.__dataclass_fields__)
    assert STEPS.build(entry.name, defaults(entry)) == STEPS.build(entry.name)


@every_step
def test_travels(entry: Entry[Any]) -> None:
    for params in corners(entry):
        plugin = STEPS.build(entry.name, params)
        assert pickle.loads(pickle.dumps(plugin)) == plugin
        choice = Choice.of(entry.name, params)
        one = Candidate(budget_macs=1, allocator=Choice.of("uniform"), method=Choice.of("l1"), step=choice)
        assert Candidate.from_json(one.to_json()) == one


@every_step
@every_network
def test_same_interface_and_no_more_compute(entry: Entry[Any], network: str) -> None:
    found = case(network)
    plan = planned(found)
    budget = count(slim(found.model, found.analysis.groups, plan), found.example)
    for params in corners(entry):
        small = applied(entry, params, found, plan)
        with torch.no_grad():
            out = small(torch.cat([found.example, found.example]))
        assert out.shape == (2, 5)
        assert bool(torch.isfinite(out).all())
        counts = count(small, found.example)
        assert counts.macs <= budget.macs
        assert counts.params <= budget.params


@every_step
@every_network
def test_leaves_everything_else_as_it_was(entry: Entry[Any], network: str) -> None:
    found = case(network)
    before, network_before = contents(found.evidence), snapshot(found.model)
    small = applied(entry, {}, found, planned(found))
    assert same(contents(found.evidence), before)
    assert snapshot(found.model) == network_before
    assert not storages(found.model) & storages(small)


@every_step
@every_network
def test_same_answer_twice(entry: Entry[Any], network: str) -> None:
    found = case(network)
    plan = planned(found)
    with torch.no_grad():
        one, two = (applied(entry, {}, found, plan)(found.example) for _ in range(2))
    assert torch.equal(one, two)
