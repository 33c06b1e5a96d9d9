"""Evidence of every small network: finite, of the right shape, and the network left as it was."""

import math
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pruners import METHODS, analyse, figures, gather_evidence
from pruners.elimination import eliminate
from pruners.evidence import FROM_DATA, KINDS
from pruners.trace import evaluating
from spaces import UserError
from tests.contract import more_networks  # noqa: F401  (adds its patterns)
from tests.contract.cutting import randomise, snapshot
from tests.contract.evidence import case
from tests.contract.small_networks import PATTERNS

ONE_IMAGE = [name for name in PATTERNS if isinstance(PATTERNS[name]()[1], Tensor)]
PER_CHANNEL = set(figures.KIND_OF) - {figures.CONTRIBUTIONS}


def square(output: Any, labels: Tensor) -> Tensor:
    return output.float().square().mean()


@pytest.mark.parametrize("network", ONE_IMAGE)
def test_every_figure_of_every_network(network: str) -> None:
    torch.manual_seed(0)
    model, example = PATTERNS[network]()
    randomise(model)
    analysis = analyse(model, example)
    batches = [(torch.randn(6, *example.shape[1:]), torch.zeros(6, dtype=torch.int64))]
    before = snapshot(model)
    evidence = gather_evidence(model, analysis, needs=KINDS, batches=batches, loss=square)
    assert snapshot(model) == before
    for group in analysis.groups:
        for name in PER_CHANNEL:
            figure = evidence.figure(group, name)
            assert figure.shape == (group.width,)
            assert figure.dtype == torch.float64
            assert bool(torch.isfinite(figure).all())
        assert evidence.figure(group, figures.CONTRIBUTIONS).shape == (group.width, group.width)
        gone = evidence.elimination(group)
        if gone is not None:
            assert sorted(gone.places.tolist()) == list(range(group.width))
            assert gone.errors.shape == (group.width + 1,)
            assert gone.errors.diff().min() >= 0


def test_only_what_is_asked_for() -> None:
    evidence = case("plain", frozenset({"weights"})).evidence
    group = case("plain").analysis.groups[0]
    assert not evidence.figures
    assert not evidence.blocks
    with pytest.raises(UserError, match="was not gathered"):
        evidence.activation(group)
    with pytest.raises(UserError, match="was not gathered"):
        evidence.elimination(group)


def test_mask_gradient_is_what_a_mask_does() -> None:
    """Two layers read the residual sum: scaling a channel in both changes the loss as the figure says."""
    found = case("residual")
    model: nn.Module = found.model.double()
    try:
        x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
        y = torch.arange(4)
        evidence = gather_evidence(model, found.analysis, needs=frozenset({"activations"}), batches=[(x, y)])
        for group in found.analysis.groups:
            expected = [_difference(model, group, channel, x, y) for channel in range(group.width)]
            assert evidence.figure(group, figures.MASK_SUM).tolist() == pytest.approx(expected, rel=1e-3, abs=1e-6)
    finally:
        model.float()


def _difference(model: nn.Module, group: Any, channel: int, x: Tensor, y: Tensor, step: float = 1e-5) -> float:
    """Central difference of the loss in a factor on everything that reads the channel."""
    values = []
    for factor in (1 + step, 1 - step):
        scaled = dict(model.named_parameters())
        for piece in group.with_role("consumer"):
            weight = scaled[piece.tensor].detach().clone()
            index = torch.tensor(piece.positions[channel])
            weight.index_copy_(piece.axis, index, weight.index_select(piece.axis, index) * factor)
            scaled[piece.tensor] = nn.Parameter(weight)
        with torch.no_grad(), evaluating(model):
            output = torch.func.functional_call(model, scaled, (x,))
            values.append(float(nn.functional.cross_entropy(output, y)))
    return (values[0] - values[1]) / (2 * step)


def test_flattened_maps_are_maps() -> None:
    """A linear layer behind a flattened 8 x 8 map sees ranks above 1."""
    found = case("flatten")
    first = found.analysis.groups[0]
    assert found.evidence.figure(first, figures.RANK).max() > 1


def test_travels_without_what_it_derived() -> None:
    found = case("plain")
    group = found.analysis.groups[0]
    found.evidence.distances(group)
    copied = pickle.loads(pickle.dumps(found.evidence))
    assert not copied._derived
    assert torch.equal(copied.distances(group), found.evidence.distances(group))


def test_the_elimination_travels_without_the_moments_behind_it() -> None:
    """A worker plans at once: nothing is left to compute, and no covariances are sent."""
    found = case("plain", frozenset({"elimination"}))
    group = found.analysis.groups[0]
    copied = pickle.loads(pickle.dumps(found.evidence))
    assert not copied.moments
    assert torch.equal(copied.elimination(group).places, METHODS.build("obs").score(group, found.evidence))


def test_covariances_that_are_no_numbers_say_nothing() -> None:
    found = case("plain")
    group = found.analysis.groups[0]
    pieces = group.with_role("consumer")
    moments = {
        piece.tensor: replace(known, covariance=known.covariance * math.nan)
        for piece in pieces
        if (known := found.evidence.moments.get(piece.tensor)) is not None
    }
    assert eliminate(group, found.evidence.tensors, moments) is None


def test_an_indefinite_covariance_is_lifted() -> None:
    """Float32 sums of inputs whose mean is large against their spread round to one."""
    found = case("plain")
    group = found.analysis.groups[0]
    (piece,) = group.with_role("consumer")
    known = found.evidence.moments[piece.tensor]
    lowered = known.covariance - 0.1 * known.covariance.diagonal().mean() * torch.eye(len(known.covariance))
    gone = eliminate(group, found.evidence.tensors, {piece.tensor: replace(known, covariance=lowered)})
    assert gone is not None
    assert bool(gone.errors.isfinite().all())


@pytest.mark.parametrize("kind", sorted(FROM_DATA))
def test_data_is_asked_for(kind: str) -> None:
    found = case("plain")
    with pytest.raises(UserError, match="batches"):
        gather_evidence(found.model, found.analysis, needs=frozenset({kind}))
    with pytest.raises(UserError, match="batch"):
        gather_evidence(found.model, found.analysis, needs=frozenset({kind}), batches=[])


def test_unknown_kinds_are_named() -> None:
    found = case("plain")
    with pytest.raises(UserError, match="did you mean 'weights'"):
        gather_evidence(found.model, found.analysis, needs=frozenset({"weight"}))
