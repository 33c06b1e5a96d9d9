"""Whatever is cut: the small network answers like the masked one, costs what was planned, and meets its budget."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners import ALLOCATORS, METHODS, STEPS, Plan, make_plan, slim
from pruners.decide import choose
from spaces import Candidate, Choice
from tests.contract.cutting import assert_right
from tests.contract.evidence import NETWORKS, case, corners

NETS = (*NETWORKS, "residual_blocks", "channel_shuffle", "dense_block", "zero_padded_shortcut", "squeeze_excite")
networks = st.sampled_from(NETS)
SCORING = [entry.name for entry in METHODS if not hasattr(entry.target, "keep")]


@st.composite
def plans(draw: st.DrawFn) -> tuple[str, Plan]:
    """A network and any channels of it."""
    network = draw(networks)
    kept = {
        group.name: draw(st.sets(st.integers(0, group.width - 1), min_size=1))
        for group in case(network).analysis.groups
    }
    return network, Plan.of({name: sorted(indices) for name, indices in kept.items()})


@st.composite
def candidates(draw: st.DrawFn) -> tuple[str, Candidate]:
    """A network and any candidate that it can meet, with any plugins and offsets."""
    network = draw(networks)
    analysis = case(network).analysis
    allocator, method = (draw(st.sampled_from(list(registry))) for registry in (ALLOCATORS, METHODS))
    places = draw(st.sets(st.sampled_from([group.name for group in analysis.groups])))
    fraction = draw(st.floats(0, 1))
    candidate = Candidate(
        budget_macs=round(analysis.cost.min_macs + fraction * (analysis.cost.dense_macs - analysis.cost.min_macs)),
        allocator=Choice.of(allocator.name, draw(st.sampled_from(corners(allocator)))),
        method=Choice.of(method.name, draw(st.sampled_from(corners(method)))),
        offsets=tuple((place, draw(st.floats(-1, 1))) for place in sorted(places)),
    )
    return network, candidate


@given(drawn=plans())
@settings(max_examples=60, deadline=None)
def test_slim_is_masked_and_costs_what_was_planned(drawn: tuple[str, Plan]) -> None:
    network, plan = drawn
    found = case(network)
    assert_right(found.model, found.example, found.analysis, plan)
    assert Plan.from_json(plan.to_json()) == plan


@given(drawn=candidates())
@settings(max_examples=120, deadline=None)
def test_budget_is_met_and_no_channel_more_fits(drawn: tuple[str, Candidate]) -> None:
    network, candidate = drawn
    found = case(network)
    groups, cost = found.analysis.groups, found.analysis.cost
    kept = make_plan(candidate, found.analysis, found.evidence).counts(groups)
    assert int(cost.macs(kept)[0]) <= candidate.budget_macs
    larger = kept + np.diag([group.multiple_of for group in groups])
    possible = (larger <= [group.max_keep for group in groups]).all(axis=1)
    assert (cost.macs(larger)[possible] > candidate.budget_macs).all()


@given(drawn=candidates())
@settings(max_examples=25, deadline=None)
def test_candidates_become_networks(drawn: tuple[str, Candidate]) -> None:
    network, candidate = drawn
    found = case(network)
    assert_right(found.model, found.example, found.analysis, make_plan(candidate, found.analysis, found.evidence))


@pytest.mark.parametrize("name", SCORING)
@given(network=networks, data=st.data())
@settings(max_examples=15, deadline=None)
def test_kept_sets_of_scores_are_nested(name: str, network: str, data: st.DataObject) -> None:
    found = case(network)
    group = data.draw(st.sampled_from(found.analysis.groups))
    entry = METHODS.entry(name)
    method: Any = METHODS.build(name, data.draw(st.sampled_from(corners(entry))))
    sets = [set(choose(method, group, count, found.evidence)) for count in range(1, group.width + 1)]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(sets))


@given(network=networks)
@settings(max_examples=len(NETS), deadline=None)
def test_merging_nothing_changes_nothing(network: str) -> None:
    found = case(network)
    groups = found.analysis.groups
    plan = Plan.of({group.name: range(group.width) for group in groups})
    small = slim(found.model, groups, plan)
    merged = STEPS.build("merge").apply(
        slim(found.model, groups, plan), groups=groups, plan=plan, dense=found.model, evidence=found.evidence
    )
    with torch.no_grad():
        assert torch.equal(merged.eval()(found.example), small.eval()(found.example))
