"""The latency table: measured on small networks of each kind, and its predictions against what layers really are."""

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruners import Analysis, GroupRules, Plan, analyse, slim
from pruners.budget import fit, rounded_widths
from pruners.latency import LatencyGrid, LatencyModel, LatencyTable, LayerCall, WholeNetwork
from pruners.latency_measure import Comparison, _fitted, compare, measure_table, monotone, networks
from spaces import InfeasibleError, UserError
from tests.contract.evidence import case
from tests.contract.small_networks import Lambda, head, image, pattern

NETWORKS = ("residual", "depthwise", "grouped", "flatten", "up_again", "twice")


@pattern
def up_again() -> tuple[nn.Module, Any]:
    """Transposed convolutions, plain and depthwise."""
    layers = (nn.Conv2d(3, 6, 3, stride=2), nn.ConvTranspose2d(6, 8, 2), nn.ConvTranspose2d(8, 8, 2, groups=8))
    return nn.Sequential(*layers, nn.ReLU(), head(8)), image()


@pattern
def twice() -> tuple[nn.Module, Any]:
    """One layer that is called twice, on maps of two sizes."""

    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:
        return net.head(net.again(nn.functional.max_pool2d(net.again(net.first(x)), 2)))  # type: ignore[no-any-return]

    first, again = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
    return Lambda(forward, first=first, again=again, head=head(6)), image()


@cache
def measured(network: str) -> LatencyTable:
    found = case(network)
    return measure_table(found.model, found.example, found.analysis, repeats=2, batch_size=2)


def model_of(network: str, table: LatencyTable | None = None) -> LatencyModel:
    analysis = case(network).analysis
    return LatencyModel(table or measured(network), analysis.groups, analysis.cost)


def widths(network: str, count: int = 20) -> Any:
    return networks(case(network).analysis, count, generator=np.random.default_rng(0))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_layer_is_measured_and_times_rise_with_widths(network: str) -> None:
    table, found = measured(network), case(network)
    modules = [m for m in found.model.modules() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)]
    assert len({call.weight for call in table.calls}) == len(modules)
    assert (table.batch_size, table.dense_macs) == (2, found.analysis.cost.dense_macs)
    latency, kept = model_of(network, table), widths(network)
    milliseconds = latency.predict(kept)
    assert np.isfinite(milliseconds).all()
    assert (milliseconds > 0).all()
    for group in range(kept.shape[1]):
        larger = kept.copy()
        larger[:, group] = found.analysis.cost.dense[group]
        assert (latency.predict(larger) >= milliseconds - 1e-12).all()
    assert (milliseconds >= latency.smallest_ms - 1e-12).all()
    assert (milliseconds <= latency.dense_ms + 1e-12).all()
    assert latency.predict(kept[3]) == pytest.approx(milliseconds[3:4])


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_are_looked_up_at_the_sizes_that_the_slim_network_has(network: str) -> None:
    """Rows times columns is bilinear, so that interpolation must give it exactly."""
    table, found = measured(network), case(network)
    grids = tuple(
        replace(grid, milliseconds=tuple(tuple(float(r * c) for c in grid.columns) for r in grid.rows))
        for grid in table.grids
    )
    latency = model_of(network, replace(table, grids=grids, whole=WholeNetwork(layers=1, per_megabyte=0, constant=0)))
    for kept in widths(network, 5):
        plan = Plan.of({g.name: range(int(count)) for g, count in zip(found.analysis.groups, kept, strict=True)})
        small = slim(found.model, found.analysis.groups, plan)
        shapes = [small.get_parameter(call.weight).shape for call in table.calls]
        assert latency.predict(kept)[0] == pytest.approx(sum(shape[0] * shape[1] for shape in shapes))


def test_layers_of_one_shape_are_measured_once() -> None:
    table = measured("twice")
    assert [call.weight for call in table.calls] == ["first.weight", "again.weight", "again.weight", "head.2.weight"]
    assert len({call.grid for call in table.calls}) == len(table.grids) == 4
    model = nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)], head(4))
    same = measure_table(model.eval(), image(4), analyse(model.eval(), image(4)), repeats=1)
    assert [call.grid for call in same.calls] == [0, 1, 1, 1, 2]  # the first one's input can't be cut


def test_measuring_leaves_the_network_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), head(4)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    analysis = analyse(model, image())
    table = measure_table(model, image(), analysis, repeats=1)
    found = compare(model, image(), analysis, LatencyModel(table, analysis.groups, analysis.cost), count=3)
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert (found.measured > 0).all()
    assert math.isfinite(found.median_error)


@pytest.mark.parametrize("network", ["residual", "depthwise"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_both_budgets_are_met_and_no_channel_more_fits(network: str, share: float) -> None:
    analysis, free = case(network).analysis, model_of(network)
    limit = free.smallest_ms + share * (free.dense_ms - free.smallest_ms)
    budget = int(analysis.cost.min_macs + 0.6 * (analysis.cost.dense_macs - analysis.cost.min_macs))
    latency = free.limited(limit)
    for ratios in np.random.default_rng(5).uniform(-0.3, 1.0, (6, len(analysis.groups))):
        kept = fit(ratios, analysis.groups, analysis.cost, budget_macs=budget, latency=latency)
        assert analysis.cost.macs(kept)[0] <= budget
        assert latency.predict(kept)[0] <= limit
        larger = kept + np.diag([group.multiple_of for group in analysis.groups])
        possible = (larger <= [group.max_keep for group in analysis.groups]).all(axis=1)
        assert not (latency.within(larger) & (analysis.cost.macs(larger) <= budget))[possible].any()


def test_a_limit_below_the_smallest_network_is_infeasible() -> None:
    analysis, latency = case("residual").analysis, model_of("residual")
    with pytest.raises(InfeasibleError, match=r"target_latency.*no network in reach takes less than"):
        fit(
            np.zeros(len(analysis.groups)),
            analysis.groups,
            analysis.cost,
            budget_macs=analysis.cost.dense_macs,
            latency=latency.limited(latency.smallest_ms / 2),
        )


def test_rounds_go_the_same_share_of_the_way() -> None:
    free = model_of("residual")
    dense = case("residual").analysis.cost.dense
    limit = (free.smallest_ms + free.dense_ms) / 2
    first = free.limited(limit).for_round(dense, rounds_left=1)
    assert first.limit_ms == pytest.approx(math.sqrt(limit * free.dense_ms))
    assert free.limited(limit).for_round(dense, rounds_left=0).limit_ms == pytest.approx(limit)
    assert not free.for_round(dense, rounds_left=1).is_limited


def test_json_round_trip() -> None:
    table = measured("grouped")
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_a_table_of_another_network_is_refused() -> None:
    other: Analysis = case("flatten").analysis
    with pytest.raises(UserError, match=r"latency\.table.*of another network"):
        LatencyModel(measured("residual"), other.groups, other.cost)


def test_a_table_of_a_network_that_could_be_cut_less_is_refused() -> None:
    found = case("residual")
    first = found.analysis.groups[0].name
    less = analyse(found.model, found.example, rules=GroupRules(exclude=(first,)))
    table = measure_table(found.model, found.example, less, repeats=1)
    with pytest.raises(UserError, match="uncut; measure it again"):
        model_of("residual", table)


def test_bounds_and_multiples_need_no_other_table() -> None:
    found = case("residual")
    ruled = analyse(found.model, found.example, rules=GroupRules(multiple_of=2, min_keep=2))
    latency = LatencyModel(measured("residual"), ruled.groups, ruled.cost)
    assert latency.smallest_ms >= model_of("residual").smallest_ms
    even = rounded_widths(np.full(len(ruled.groups), 0.5), ruled.groups)
    assert latency.predict(even) == pytest.approx(model_of("residual").predict(even))


def test_times_become_monotone_and_stay_where_they_are_so_already() -> None:
    noisy = np.array([[1.0, 3.0, 2.0], [2.0, 2.5, 4.0], [1.5, 5.0, 4.5]])
    smooth = monotone(noisy)
    assert (np.diff(smooth, axis=0) >= 0).all()
    assert (np.diff(smooth, axis=1) >= 0).all()
    assert monotone(smooth) == pytest.approx(smooth)
    rising = np.add.outer(np.arange(3.0), np.arange(4.0))
    assert monotone(rising) == pytest.approx(rising)


def test_the_parts_of_a_network_are_found_again_and_never_negative() -> None:
    layers, megabytes = np.array([1.0, 2.0, 3.0, 5.0]), np.array([4.0, 1.0, 2.0, 6.0])
    whole = _fitted(layers, megabytes, 1.5 * layers + 0.25 * megabytes + 0.5)
    assert (whole.layers, whole.per_megabyte, whole.constant) == pytest.approx((1.5, 0.25, 0.5))
    clipped = _fitted(layers, megabytes, 2 * layers - 0.1)
    assert clipped.constant == 0
    assert clipped.layers > 0


def test_error_and_rank_correlation() -> None:
    found = Comparison(measured=np.array([1.0, 2.0, 4.0]), predicted=np.array([1.1, 1.8, 4.0]))
    assert found.median_error == pytest.approx(0.1)
    assert found.rank_correlation == pytest.approx(1)
    assert Comparison(measured=np.arange(1.0, 4), predicted=-np.arange(1.0, 4)).rank_correlation == pytest.approx(-1)


@pytest.mark.parametrize(
    ("rows", "columns", "milliseconds", "message"),
    [
        ((2, 1), (1,), ((1.0,), (1.0,)), "rise"),
        ((1, 2), (1,), ((1.0,),), "2 x 1"),
        ((1, 2), (1,), ((1.0,), (math.nan,)), "finite"),
        ((1, 2), (1,), ((2.0,), (1.0,)), "fall"),
    ],
)
def test_grids_that_make_no_sense_are_refused(rows: Any, columns: Any, milliseconds: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatencyGrid(rows=rows, columns=columns, milliseconds=milliseconds)


def test_tables_that_make_no_sense_are_refused() -> None:
    table = measured("flatten")
    with pytest.raises(ValueError, match="grids"):
        replace(table, calls=(LayerCall(weight="w", grid=99),))
    with pytest.raises(ValueError, match="format"):
        replace(table, format="other")
    with pytest.raises(ValueError, match="negative"):
        WholeNetwork(layers=-1, per_megabyte=0, constant=0)
