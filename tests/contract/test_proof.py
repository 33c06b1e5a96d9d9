"""The proof finds a wrong cut even where the network answers with nothing, or with other things than numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pruners import Analysis, analyse, slim
from pruners.proof import SILENT
from pruners.shares import half
from pruners.tracer import NOTHING

IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Detector(nn.Module):
    """Boxes of the places whose score is above a threshold; the places may be looked at again."""

    def __init__(self, threshold: float, change: Callable[[Tensor], Tensor] = torch.relu, again: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.score, self.boxes = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 1, 1), nn.Conv2d(8, 4, 1)
        self.second, self.refine = nn.Linear(8, 6), nn.Linear(6, 4)
        self.threshold, self.change, self.again = threshold, change, again

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.change(self.stem(x))
        found = (self.score(x) > self.threshold).flatten().nonzero()[:, 0]
        boxes = self.boxes(x).flatten(2)[0].T[found]
        if self.again:
            boxes = boxes + self.refine(torch.relu(self.second(x.flatten(2)[0].T[found])))
        return {"boxes": boxes}


def by_place(x: Tensor) -> Tensor:
    """Scales that a cut moves to other channels, without any change of shape."""
    return x * torch.arange(1, x.size(1) + 1, dtype=x.dtype)[:, None, None]


def reasons(analysis: Analysis) -> dict[str, str]:
    return {left.name: left.reason for left in analysis.dense}


@pytest.mark.parametrize("threshold", [-1e9, 1e9])
def test_a_wrong_cut_shows_whatever_is_found(threshold: float) -> None:
    assert "stem" in {group.name for group in analyse(Detector(threshold), IMAGE).groups}
    wrong = analyse(Detector(threshold, by_place), IMAGE)
    assert "stem" not in {group.name for group in wrong.groups}
    assert "its cut changes the output" in reasons(wrong)["stem"]


def test_layers_that_see_nothing_stay_dense() -> None:
    assert {group.name for group in analyse(Detector(-1e9, again=True), IMAGE).groups} == {"stem", "second"}
    nothing = analyse(Detector(1e9, again=True), IMAGE)
    assert not nothing.groups
    assert reasons(nothing)["stem"] == reasons(nothing)["second"] == NOTHING


class Counting(nn.Module):
    """Answers with a whole number."""

    def __init__(self, change: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.change = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), change

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.change(self.first(x))).mean((2, 3)).argmax(1)


def test_layers_are_compared_where_the_answer_is_no_number() -> None:
    assert [group.name for group in analyse(Counting(), IMAGE).groups] == ["first"]
    assert not analyse(Counting(by_place), IMAGE).groups


def test_without_anything_to_compare_nothing_is_cut() -> None:
    class Functional(Counting):
        def forward(self, x: Tensor) -> Tensor:
            x = functional.conv2d(x, self.first.weight)
            return functional.conv2d(x, self.second.weight).mean((2, 3)).argmax(1)

    found = analyse(Functional(), IMAGE)
    assert not found.groups
    assert reasons(found)["first"] == SILENT


def test_indices_are_no_channels() -> None:
    """The values of an integer tensor that the network computes must not be taken for labels."""

    class Indexed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second, self.box = nn.Conv2d(3, 40, 3), nn.Conv2d(40, 4, 3), nn.Linear(4, 4)
            nn.init.constant_(self.box.bias, 20.0)

        def forward(self, x: Tensor) -> Tensor:
            features = self.second(self.first(x)).mean((2, 3))
            box = self.box(features).abs().long()
            return features + float(box[0, 1:3].flip(0)[0]) + float(box[0, 3])

    found = analyse(Indexed(), IMAGE)
    assert [(group.name, group.width) for group in found.groups] == [("first", 40)]


class Auxiliary(nn.Module):
    """A second head that runs in train mode alone, and a tensor that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3)
        self.auxiliary, self.head, self.drop = nn.Conv2d(8, 4, 1), nn.Linear(6, 4), nn.Dropout(0.5)
        self.gain = torch.rand(4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        out = self.head(self.drop(self.second(x).mean((2, 3)))) * self.gain
        return out + self.auxiliary(x).mean((2, 3)) if self.training else out


def test_what_only_train_mode_reads_stays_dense() -> None:
    model, state = Auxiliary(), torch.random.get_rng_state()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = analyse(model, IMAGE)
    assert [group.name for group in found.groups] == ["second"]
    assert "in train mode" in reasons(found)["first"]
    assert torch.equal(state, torch.random.get_rng_state()), "a proof draws no random numbers of the user's"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    small = slim(model, found.groups, half(found.groups)).train()
    assert small(torch.cat([IMAGE, IMAGE])).shape == (2, 4)
    assert small.gain is not model.gain
