"""A network that is cut twice: the second cut is planned without tracing what the first one left."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pruners import Plan, count, slim
from pruners.remaining import composed, remaining
from spaces import ChannelGroup
from tests.contract.evidence import case
from tests.property.test_plan import plans


@given(drawn=plans(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_two_cuts_are_one_cut_of_what_both_keep(drawn: tuple[str, Plan], data: st.DataObject) -> None:
    network, first = drawn
    found = case(network)
    left = remaining(found.analysis, first)
    second = Plan.of(
        {group.name: sorted(data.draw(st.sets(st.integers(0, group.width - 1), min_size=1))) for group in left.groups}
    )
    half = slim(found.model, found.analysis.groups, first)
    twice = slim(half, left.groups, second)
    once = slim(found.model, found.analysis.groups, composed(found.analysis.groups, (first, second)))
    tensors: dict[str, Tensor] = once.state_dict()
    assert twice.state_dict().keys() == tensors.keys()
    assert all(torch.equal(value, tensors[name]) for name, value in twice.state_dict().items())
    counts = count(half, found.example)
    assert (left.cost.dense_macs, left.cost.dense_params) == (counts.macs, counts.params)
    assert int(left.cost.macs(second.counts(left.groups))[0]) == count(twice, found.example).macs
    assert np.array_equal(left.cost.dense, first.counts(found.analysis.groups))


def test_a_grouped_convolution_with_one_input_per_group_is_not_taken_for_a_depthwise_one() -> None:
    found = case("grouped")
    first = Plan.of({"0.0": (0,), "1.0": (0, 1), "2.0": (0,)})
    half = slim(found.model, found.analysis.groups, first)
    twice = slim(half, remaining(found.analysis, first).groups, Plan.of({"0.0": (0,), "1.0": (1,), "2.0": (0,)}))
    assert (twice[1][0].in_channels, twice[1][0].out_channels, twice[1][0].groups) == (4, 4, 4)
    assert twice(found.example).shape == (1, 5)


def test_rounds_are_one_plan_over_the_dense_groups() -> None:
    groups = (ChannelGroup(name="a", width=6, slices=()), ChannelGroup(name="b", width=2, slices=()))
    plans = (Plan.of({"a": (1, 2, 4, 5), "b": (0, 1)}), Plan.of({"a": (0, 3)}))
    assert composed(groups, plans) == Plan.of({"a": (1, 5), "b": (0, 1)})
