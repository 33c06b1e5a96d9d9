"""The elimination against least squares done anew for every set of removed channels."""

from itertools import combinations

import pytest
import torch
from torch import nn

from pruners import METHODS, Evidence, analyse, gather_evidence
from pruners.elimination import elimination
from spaces import ChannelGroup


def gathered() -> tuple[ChannelGroup, Evidence]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 5, 1), nn.ReLU(), nn.Conv2d(5, 3, 2), nn.Flatten(), nn.Linear(27, 2)).eval()
    x = torch.randn(300, 2, 4, 4)
    analysis = analyse(model, x[:1])
    evidence = gather_evidence(model, analysis, needs=frozenset({"moments"}), batches=[(x, torch.zeros(300).long())])
    return analysis.groups[0], evidence


def least_error(group: ChannelGroup, evidence: Evidence, gone: tuple[int, ...]) -> float:
    """Squared error of the refitted layer as a share of its outputs' variance, by the normal equations."""
    (piece,) = group.with_role("consumer")
    weight = evidence.tensors[piece.tensor].flatten(1).double()
    covariance = evidence.moments[piece.tensor].covariance.double()
    covariance = covariance + 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance))
    stay = [4 * c + k for c in range(5) if c not in gone for k in range(4)]
    new = torch.zeros_like(weight)
    if stay:
        new[:, stay] = torch.linalg.solve(covariance[stay][:, stay], covariance[stay] @ weight.T).T
    change = weight - new
    return float((change @ covariance * change).sum())


def test_errors_are_those_of_the_best_refit() -> None:
    group, evidence = gathered()
    found = elimination(group, evidence)
    assert found is not None
    order = found.turns.argsort().tolist()
    whole = least_error(group, evidence, tuple(range(5)))
    for count in range(6):
        expected = least_error(group, evidence, tuple(order[:count])) / whole
        # the variance of the outputs is without the ridge
        assert float(found.errors[count]) == pytest.approx(expected, rel=2e-2, abs=1e-6)
    assert found.errors.diff().min() >= 0


def test_the_first_to_go_is_the_best_single_choice() -> None:
    group, evidence = gathered()
    score = METHODS.build("obs").score(group, evidence)
    singles = {c: least_error(group, evidence, (c,)) for (c,) in combinations(range(5), 1)}
    assert int(score.argmin()) == min(singles, key=singles.__getitem__)
    assert sorted(score.tolist()) == [0, 1, 2, 3, 4]
