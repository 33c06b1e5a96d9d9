"""The search space: what is drawn is encodable, what is encoded comes back, and anchors are members."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Candidate, Categorical, Choice, Domain, Float, Integer
from spaces.domain import Value
from spaces.space import NO_STEP, PluginSpace, Space

PLAIN = PluginSpace(name="uniform", domains={}, defaults={}, fixed={})
CLR = PluginSpace(
    name="clr",
    domains={"spread": Float(low=0.1, high=10, log=True), "depth": Integer(low=1, high=5)},
    defaults={"spread": 2.0},
    fixed={"mode": "late"},
)
L1 = PluginSpace(name="l1", domains={}, defaults={}, fixed={})
FPGM = PluginSpace(name="fpgm", domains={"norm": Categorical(choices=("l1", "l2"))}, defaults={"norm": "l2"}, fixed={})
STEP = PluginSpace(name="regroup", domains={"groups": Integer(low=2, high=8)}, defaults={"groups": 4}, fixed={})


def draw(seed: int) -> object:
    generator = random.Random(seed)

    def suggest(name: str, domain: Domain) -> Value:
        if isinstance(domain, Categorical):
            return generator.choice(domain.choices)
        if isinstance(domain, Integer):
            return generator.randint(domain.low, domain.high)
        return generator.uniform(domain.low, domain.high)

    return suggest


@st.composite
def spaces(drawer: st.DrawFn) -> Space:
    dense = drawer(st.integers(1_000, 10**12))
    low = drawer(st.integers(1, dense))
    high = drawer(st.one_of(st.just(low), st.integers(low, dense)))
    return Space(
        low_macs=low,
        high_macs=high,
        dense_macs=dense,
        allocators=drawer(st.sampled_from([(PLAIN,), (PLAIN, CLR)])),
        methods=drawer(st.sampled_from([(L1,), (L1, FPGM), (FPGM,)])),
        steps=drawer(st.sampled_from([(NO_STEP,), (STEP,), (STEP, NO_STEP)])),
        places=drawer(st.sampled_from([(), ("b", "a"), ("32x32",)])),
        rounds=drawer(st.sampled_from([(1,), (3,), (1, 2, 3)])),
    )


@given(spaces(), st.integers(0, 2**32))
def test_drawn_candidates_come_back_from_their_parameters(space: Space, seed: int) -> None:
    candidate = space.decode(draw(seed))
    params = space.encode(candidate)

    def stored(name: str, domain: Domain) -> Value:
        assert domain.contains(params[name]), (name, params[name], domain)
        return params[name]

    assert space.decode(stored) == candidate
    assert space.low_macs <= candidate.budget_macs <= space.high_macs


@given(spaces())
def test_every_anchor_is_a_point_of_the_space(space: Space) -> None:
    anchors = list(space.anchors())
    assert len({anchor.key for anchor in anchors}) == len(anchors)
    assert anchors[0].allocator.name == space.allocators[0].name
    for anchor in anchors:
        params = space.encode(anchor)
        assert space.decode(lambda name, _, params=params: params[name]) == anchor


def test_few_anchors_show_some_of_each_kind() -> None:
    space = Space(
        low_macs=20, high_macs=80, dense_macs=100, allocators=(PLAIN, CLR), methods=(L1, FPGM), steps=(NO_STEP, STEP)
    )
    first = list(space.anchors())[5:8]
    shown = [(a.allocator.name, a.method.name, None if a.step is None else a.step.name) for a in first]
    assert shown == [("clr", "l1", None), ("uniform", "fpgm", None), ("uniform", "l1", "regroup")]


def test_parameters_that_can_take_one_value_only_are_not_asked_for() -> None:
    space = Space(low_macs=50, high_macs=50, dense_macs=100, allocators=(PLAIN,), methods=(L1,))
    asked: list[str] = []
    candidate = space.decode(lambda name, _: asked.append(name) or 0)
    assert asked == []
    assert candidate.budget_macs == 50


def test_hyper_parameters_are_conditional_and_fixed_ones_are_carried() -> None:
    space = Space(low_macs=30, high_macs=80, dense_macs=100, allocators=(PLAIN, CLR), methods=(L1, FPGM), places=("a",))
    values = {
        "allocator": "clr",
        "method": "l1",
        "allocator.clr.spread": 1.0,
        "allocator.clr.depth": 3,
        "offset.a": 0.1,
    }
    candidate = space.decode(lambda name, _: {**values, "budget": 0.5}[name])
    assert candidate.allocator == Choice.of("clr", {"spread": 1.0, "depth": 3, "mode": "late"})
    assert candidate.method == Choice.of("l1")
    assert candidate.budget_macs == 50


def test_published_defaults_outside_their_domain_are_moved_inside() -> None:
    odd = PluginSpace(name="odd", domains={"p": Float(low=1, high=2)}, defaults={"p": 5.0}, fixed={})
    assert odd.default_choice() == Choice.of("odd", {"p": 2.0})


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(budget_macs=90, allocator=Choice.of("uniform"), method=Choice.of("l1")),
        Candidate(budget_macs=50, allocator=Choice.of("nobody"), method=Choice.of("l1")),
        Candidate(budget_macs=50, allocator=Choice.of("uniform"), method=Choice.of("fpgm", {"norm": "l3"})),
        Candidate(budget_macs=50, allocator=Choice.of("uniform"), method=Choice.of("l1"), offsets=(("z", 0.1),)),
        Candidate(budget_macs=50, allocator=Choice.of("uniform"), method=Choice.of("l1"), step=Choice.of("regroup")),
        Candidate(budget_macs=50, allocator=Choice.of("clr", {"mode": "early"}), method=Choice.of("l1")),
        Candidate(budget_macs=50, allocator=Choice.of("uniform"), method=Choice.of("l1"), rounds=2),
    ],
)
def test_candidates_outside_the_space_are_refused(candidate: Candidate) -> None:
    space = Space(low_macs=30, high_macs=80, dense_macs=100, allocators=(PLAIN, CLR), methods=(L1, FPGM), places=("a",))
    with pytest.raises(ValueError, match=r"space|outside|offset"):
        space.encode(candidate)
