"""Workers of one machine read one copy of the decoded data, and leave it as it is."""

from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from evaluators.split import Split
from evaluators.worker import Evaluator
from search.prepare import Prepared, prepare
from search.recipes import ladder
from search.runtime.shared import SharedSplit, SharedSplits

LADDER = [{"proxy": "recalibrate", "num_samples": 64}, {"proxy": "finetune", "steps": 3, "num_samples": 64}]


@pytest.fixture
def prepared(tiny: Any, tmp_path: Path) -> Prepared:
    return prepare(tiny(ladder=LADDER, data={"name": "digits", "num_train": 1400}), folder=tmp_path)


def mapping_of(tensor: torch.Tensor) -> str:
    """The line of this process's memory map that the tensor lies in."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        begin, end = (int(part, 16) for part in line.split()[0].split("-"))
        if begin <= tensor.data_ptr() < end:
            return line
    raise AssertionError("a tensor outside the process's memory")


@pytest.mark.usefixtures("ray_two_cpus")
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's memory maps")
def test_two_evaluators_read_the_same_store_and_write_nothing(prepared: Prepared) -> None:
    stored = ray.put(SharedSplits.of(prepared.splits))
    one, two = (ray.get(stored) for _ in range(2))
    assert not one.train.images.flags.owndata
    assert not one.train.images.flags.writeable
    evaluators = [
        Evaluator(prepared.spec, shared.splits(), prepared.analysis, prepared.evidence, ladder(prepared.config))
        for shared in (one, two)
    ]
    for part in ("train", "search"):
        first, second = (getattr(evaluator.task, part) for evaluator in evaluators)
        assert first.images.data_ptr() == second.images.data_ptr()
        mapping = mapping_of(first.images)
        assert mapping.split()[1].endswith("s"), "shared between processes, not private"
        assert "plasma" in mapping
        assert torch.equal(first.images, getattr(prepared.splits, part).images)
    candidate = next(prepared.space.anchors())
    answers = [evaluators[0].evaluate(candidate, fidelity=rung, seed=0) for rung in (0, 1)]
    own = Evaluator(
        prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, ladder(prepared.config)
    ).evaluate(candidate, fidelity=1, seed=0)
    assert (answers[1].accuracy, answers[1].loss) == (own.accuracy, own.loss)
    for part in ("train", "search"):
        left, right = getattr(evaluators[0].task, part), getattr(prepared.splits, part)
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_any_layout_and_format_comes_back(dtype: torch.dtype) -> None:
    images = torch.arange(2 * 3 * 4 * 4).view(2, 4, 4, 3).to(dtype).permute(0, 3, 1, 2)
    split = Split(images=images, labels=torch.tensor([0, 1]), mean=(0.5,) * 3, std=(0.5,) * 3, augment="flip")
    again = SharedSplit.of(split).split()
    assert torch.equal(again.images.float(), images.float())
    assert torch.equal(again.labels, split.labels)
    assert (again.mean, again.std, again.augment) == (split.mean, split.std, split.augment)
