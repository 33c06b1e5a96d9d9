"""Every data set keeps the contract: three disjoint parts, of which workers' loading never opens the test part."""

import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from evaluators.datasets.torchvision_sets import _arrays
from evaluators.load import load_splits, load_test
from evaluators.registries import DATASETS
from evaluators.sources import Sources
from evaluators.specs import DataSpec, TaskSpec
from spaces import UserError

DOWNLOADED = ("cifar10", "cifar100", "fashion_mnist", "mnist", "svhn")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOPRUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def mnist_root(tmp_path: Path) -> Path:
    """MNIST's four files with 200 + 60 images of noise: image i is labelled i % 10."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for prefix, number in (("train", 200), ("t10k", 60)):
        pixels = torch.randint(0, 256, (number, 28, 28), generator=generator, dtype=torch.uint8)
        header = struct.pack(">iiii", 0x803, number, 28, 28)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(header + pixels.numpy().tobytes())
        labels = bytes(index % 10 for index in range(number))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, number) + labels)
    return tmp_path / "data"


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_every_data_set_is_tested_here() -> None:
    assert set(DATASETS.names()) == {"digits", "image_folder", *DOWNLOADED}  # image_folder: tests/integration


@pytest.mark.parametrize("name", DATASETS.names())
def test_it_is_described(name: str) -> None:
    assert DATASETS.entry(name).summary.endswith(".")


def test_digits_are_split_60_20_20_by_class() -> None:
    spec = DataSpec(name="digits")
    splits, test = load_splits(spec), load_test(spec)
    assert (len(splits.train), len(splits.search), len(test)) == (1078, 360, 359)
    assert splits.num_classes == 10
    assert (splits.in_channels, splits.image_size) == (1, (8, 8))
    for split in (splits.train, splits.search, test):
        share = split.labels.bincount() / len(split)
        assert (share - 0.1).abs().max() < 0.005
    parts = [rows(splits.train.images), rows(splits.search.images), rows(test.images)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797


def test_digits_are_the_same_every_time() -> None:
    first, second = (load_splits(DataSpec(name="digits")) for _ in range(2))
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.search.labels, second.search.labels)


def test_limits_keep_classes_in_proportion() -> None:
    splits = load_splits(DataSpec(name="digits", params={"num_train": 100, "num_search": 50}))
    assert splits.train.labels.bincount().tolist() == [10] * 10
    assert splits.search.labels.bincount().tolist() == [5] * 10


def test_the_user_decides_normalisation_and_augmentation() -> None:
    params = {"mean": 0.5, "std": [0.25], "augment": "none"}
    split = load_splits(DataSpec(name="digits", params=params)).train
    assert (split.mean, split.std, split.augment) == ((0.5,), (0.25,), "none")


def test_grey_values_can_be_repeated_for_networks_that_want_colours() -> None:
    split = load_splits(DataSpec(name="digits", params={"channels": 3})).train
    assert split.images.shape[1] == len(split.mean) == 3


@pytest.mark.parametrize("name", DOWNLOADED)
def test_nothing_is_downloaded_unasked(name: str) -> None:
    with pytest.raises(UserError, match=rf"no complete {name}; set data\.params\.download to true"):
        load_splits(DataSpec(name=name))


@pytest.mark.parametrize(("search_from", "sizes"), [("train", (180, 20, 60)), ("test", (200, 30, 30))])
def test_torchvisions_sets_have_three_disjoint_parts(
    mnist_root: Path, search_from: str, sizes: tuple[int, ...]
) -> None:
    spec = DataSpec(name="mnist", params={"root": str(mnist_root), "search_from": search_from})
    splits, test = load_splits(spec), load_test(spec)
    assert (len(splits.train), len(splits.search), len(test)) == sizes
    parts = [rows(splits.train.images), rows(splits.search.images), rows(test.images)]
    assert len(set.union(*parts)) == 260
    assert splits.search.labels.bincount().tolist() == [sizes[1] // 10] * 10
    assert splits.class_names[0] == "0 - zero"


def test_images_of_every_layout_become_channels_first() -> None:
    labels = list(range(4))
    for data, targets in (
        (torch.zeros(4, 28, 28, dtype=torch.uint8), {"targets": labels}),  # MNIST
        (torch.zeros(4, 32, 32, 3, dtype=torch.uint8).numpy(), {"targets": labels}),  # CIFAR
        (torch.zeros(4, 3, 32, 32, dtype=torch.uint8).numpy(), {"labels": labels}),  # SVHN
    ):
        images, found = _arrays(SimpleNamespace(data=data, **targets), 3)
        assert images.shape[:2] == (4, 3)
        assert found.tolist() == labels


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("digit", {}, "unknown dataset; did you mean 'digits'"),
        ("digits", {"num_trian": 5}, "no such parameter"),
        ("digits", {"num_train": 0}, "must be a whole number of at least 1"),
        ("digits", {"search_fraction": 1.5}, "must be between 0 and 1"),
        ("digits", {"augment": "mixup"}, "unknown augmentation"),
        ("digits", {"mean": [0.1, 0.2]}, "one value per channel"),
        ("digits", {"std": 0}, "std > 0"),
        ("mnist", {"search_from": "val"}, "names a part that this data has not"),
        ("image_folder", {}, "missing a required argument: 'path'"),
        ("tests.contract.test_datasets:two_parts", {}, "must return"),
        ("tests.contract.test_datasets:text", {}, "data: train: must be .images, labels."),
        ("tests.contract.test_datasets:nowhere", {}, "has no function 'nowhere'"),
        ("tests.contract.test_datasets:five_labels_two_names", {}, "labels must be 0 to 1, found 0 to 4"),
    ],
)
def test_mistakes_are_named(mnist_root: Path, name: str, params: dict[str, object], message: str) -> None:
    extra = {"root": str(mnist_root)} if name == "mnist" else {}
    with pytest.raises(UserError, match=message):
        load_splits(DataSpec(name=name, params={**params, **extra}))


class Photographs(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """A map-style data set that counts what is read of it."""

    def __init__(self, number: int) -> None:
        self.targets = [index % 4 for index in range(number)]
        self.num_read = 0

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.num_read += 1
        return torch.full((3, 6, 6), float(index)), self.targets[index]


OPENED = Photographs(40), Photographs(20), Photographs(20)


def map_style() -> tuple[Photographs, ...]:
    return OPENED


def two_parts() -> tuple[int, int]:
    return 1, 2


def text() -> tuple[int, int, int]:
    return 1, 2, 3


def five_labels_two_names() -> Sources:
    part = torch.zeros(5, 1, 4, 4, dtype=torch.uint8), torch.arange(5)
    return Sources(train=part, search=part, test=part, class_names=("a", "b"))


def test_a_users_own_data_set_is_read_where_needed_only() -> None:
    spec = TaskSpec(
        model=None,  # type: ignore[arg-type]
        data=DataSpec(name=f"{__name__}:map_style", params={"num_train": 8}),
    )
    sys.modules[__name__].OPENED[0].num_read = 0  # type: ignore[attr-defined]
    splits = load_splits(spec)
    assert [part.num_read for part in OPENED] == [8, 20, 0]
    assert splits.num_classes == 4
    assert splits.train.labels.bincount().tolist() == [2] * 4
    assert (splits.train.mean, splits.train.std) == ((0.0,) * 3, (1.0,) * 3)
    assert len(load_test(spec)) == 20
