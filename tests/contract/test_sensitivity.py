"""Sensitivity: one row for each group, costs of the networks that were scored, nothing changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from evaluators.recipe import Recipe
from evaluators.score import accuracy, recalibrate
from evaluators.sensitivity import Sensitivity, sensitivity
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from evaluators.train import finetune
from pruners import Analysis, Evidence, Plan, analyse, count, gather_evidence, slim
from spaces import Choice, UserError
from tests.contract.cutting import snapshot

RATIOS = (0.0, 0.5, 0.75)
Parts = tuple[Task, nn.Module, Analysis, Evidence]


@pytest.fixture(scope="module")
def parts() -> Parts:
    spec = TaskSpec(
        model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 4}),
        data=DataSpec(name="digits", params={"num_train": 300, "num_search": 100}),
        device="cpu",
    )
    task = Task(spec, load_splits(spec))
    model = task.dense_model()
    finetune(model, task, recipe=Recipe(steps=60, lr=0.1, batch_size=32), generator=torch.Generator().manual_seed(0))
    analysis = analyse(model, task.example)
    return task, model, analysis, gather_evidence(model, analysis)


def measure(
    parts: Parts, *, ratios: tuple[float, ...] = RATIOS, method: str = "l2", seed: int = 0
) -> tuple[Sensitivity, ...]:
    generator = torch.Generator().manual_seed(seed)
    return sensitivity(*parts, method=Choice.of(method), ratios=ratios, generator=generator)


def test_every_group_has_a_row_with_every_ratio(parts: Parts) -> None:
    found = measure(parts)
    groups = parts[2].groups
    assert [(row.group, row.stage, row.width) for row in found] == [(g.name, g.stage, g.width) for g in groups]
    for row in found:
        assert tuple(cut.ratio for cut in row.cuts) == RATIOS
        assert [cut.kept for cut in row.cuts] == [row.width, row.width // 2, row.width // 4]


def test_ratio_zero_is_the_dense_network(parts: Parts) -> None:
    task, model, analysis, _ = parts
    dense = accuracy(model, task.search)
    assert dense.accuracy > 0.5
    for row in measure(parts):
        first = row.cuts[0]
        assert (first.accuracy, first.accuracy_change, first.loss) == (dense.accuracy, 0, dense.loss)
        assert (first.macs, first.macs_saved) == (analysis.cost.dense_macs, 0)
        assert all(cut.accuracy_change == cut.accuracy - dense.accuracy for cut in row.cuts)
        assert row.mean_change == pytest.approx(np.mean([cut.accuracy_change for cut in row.cuts]))


def test_a_cut_is_what_it_says(parts: Parts) -> None:
    """By hand: the channels of largest norm of one group stay, the rest of the network is whole."""
    task, model, analysis, evidence = parts
    group, cut = analysis.groups[1], measure(parts)[1].cuts[1]
    strongest = evidence.filters(group).norm(dim=1).argsort(descending=True)[: cut.kept]
    small = slim(model, analysis.groups, Plan.of({group.name: strongest.tolist()}))
    assert count(small, task.example).macs == cut.macs == round((1 - cut.macs_saved) * analysis.cost.dense_macs)
    recalibrate(small, task.train, generator=torch.Generator())  # all images of so small a split are used
    assert accuracy(small, task.search).loss == pytest.approx(cut.loss, rel=1e-2)


def test_the_network_and_torchs_generator_are_left_alone(parts: Parts) -> None:
    before, values = snapshot(parts[1]), [tensor.clone() for tensor in parts[1].state_dict().values()]
    state = torch.random.get_rng_state()
    measure(parts)
    assert snapshot(parts[1]) == before
    assert all(torch.equal(one, two) for one, two in zip(values, parts[1].state_dict().values(), strict=True))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_cut_depends_on_no_other(parts: Parts) -> None:
    everything, alone = measure(parts, seed=2), measure(parts, ratios=(0.75,), seed=2)
    assert [row.cuts[-1] for row in everything] == [row.cuts[0] for row in alone]
    assert measure(parts, method="random") != everything


def test_bounds_of_a_group_hold(parts: Parts) -> None:
    task, model, analysis, evidence = parts
    groups = tuple(replace(group, min_keep=group.width // 2) for group in analysis.groups)
    limited = Analysis(groups=groups, dense=analysis.dense, cost=analysis.cost.with_groups(groups))
    heard: list[tuple[int, int]] = []
    found = sensitivity(
        task,
        model,
        limited,
        evidence,
        method=Choice.of("l2"),
        ratios=(0.5, 0.75),
        generator=torch.Generator().manual_seed(0),
        on_group=lambda index, total: heard.append((index, total)),
    )
    for row in found:
        half, more = row.cuts
        assert replace(more, ratio=0.5) == half
    assert heard == [(index, len(groups)) for index in range(len(groups))]


@pytest.mark.parametrize(
    ("ratios", "method", "message"),
    [
        ((), "l2", "ratios: needs at least one"),
        ((0.5, 1.0), "l2", r"ratios = 1\.0: must be a fraction"),
        ((-0.1,), "l2", r"ratios = -0\.1"),
        ((float("nan"),), "l2", "ratios = nan"),
        ((0.5, 0.5), "l2", "names a fraction twice"),
        ((0.5,), "l9", "method = 'l9': unknown method"),
    ],
)
def test_mistakes_are_named(parts: Parts, ratios: tuple[float, ...], method: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        measure(parts, ratios=ratios, method=method)
