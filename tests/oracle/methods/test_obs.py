"""The elimination against least squares done anew for every set of removed channels."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from pruners import METHODS, Evidence, analyse, gather_evidence
from spaces import ChannelGroup, Slice


class Shared(nn.Module):
    """Forty channels that two layers read, one of them beside eight others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(3, 40, 1), nn.Conv2d(3, 8, 1)
        self.square, self.point = nn.Conv2d(40, 6, 2), nn.Conv2d(48, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x).relu()
        beside = torch.cat([self.other(x).relu(), y], dim=1)
        return torch.cat([self.square(y).flatten(1), self.point(beside).flatten(1)], dim=1)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 5, 1), nn.ReLU(), nn.Conv2d(5, 3, 2), nn.Flatten(), nn.Linear(27, 2))


def wide() -> nn.Module:
    """So wide that two channels go per turn."""
    return nn.Sequential(nn.Conv2d(2, 256, 1), nn.ReLU(), nn.Conv2d(256, 3, 1), nn.Flatten(), nn.Linear(48, 2))


def gathered(model: nn.Module, name: str, num_inputs: int) -> tuple[ChannelGroup, Evidence]:
    x = torch.randn(300, num_inputs, 4, 4)
    analysis = analyse(model.eval(), x[:1])
    needs = frozenset({"moments", "elimination"})
    batches = [(x, torch.zeros(len(x), dtype=torch.int64))]
    evidence = gather_evidence(model, analysis, needs=needs, batches=batches)
    return next(group for group in analysis.groups if group.name == name), evidence


def least_error(group: ChannelGroup, evidence: Evidence, gone: Sequence[int]) -> float:
    """Squared errors of the refitted readers as shares of their outputs' variances, by the normal equations."""
    return sum(_least_error(piece, evidence, gone) for piece in group.with_role("consumer"))


def _least_error(piece: Slice, evidence: Evidence, gone: Sequence[int]) -> float:
    weight = evidence.tensors[piece.tensor].flatten(1).double()
    plain = evidence.moments[piece.tensor].covariance.double()
    covariance = plain + 1e-3 * plain.diagonal().mean() * torch.eye(len(plain))
    per_input = len(plain) // evidence.tensors[piece.tensor].size(1)
    without = {per_input * place + k for c in gone for place in piece.positions[c] for k in range(per_input)}
    stay = [column for column in range(len(plain)) if column not in without]
    new = torch.zeros_like(weight)
    if stay:
        new[:, stay] = torch.linalg.solve(covariance[stay][:, stay], covariance[stay] @ weight.T).T
    change = weight - new
    return float((change @ covariance * change).sum() / (weight @ plain * weight).sum())


@pytest.mark.parametrize(
    ("build", "name", "num_inputs", "per_turn"), [(small, "0", 2, 1), (Shared, "first", 3, 1), (wide, "0", 2, 2)]
)
def test_errors_are_those_of_the_best_refit(
    build: Callable[[], nn.Module], name: str, num_inputs: int, per_turn: int
) -> None:
    torch.manual_seed(1)
    group, evidence = gathered(build(), name, num_inputs)
    found = evidence.elimination(group)
    assert found is not None
    order = found.places.argsort().tolist()
    for count in range(0, group.width + 1, per_turn):
        expected = least_error(group, evidence, order[:count])
        assert float(found.errors[count]) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert found.errors.diff().min() >= 0


def test_every_turn_takes_the_best_single_choice() -> None:
    torch.manual_seed(1)
    group, evidence = gathered(small(), "0", 2)
    score = METHODS.build("obs").score(group, evidence)
    order = score.argsort().tolist()
    for turn in range(5):
        errors = {c: least_error(group, evidence, [*order[:turn], c]) for c in order[turn:]}
        assert min(errors, key=errors.__getitem__) == order[turn]
    assert sorted(score.tolist()) == [0, 1, 2, 3, 4]
