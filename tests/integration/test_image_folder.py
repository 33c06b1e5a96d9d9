"""Images in folders: which file goes where, decoding, the cache, and what is said of a wrong folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators import images
from evaluators.load import load_splits, load_test
from evaluators.specs import DataSpec
from spaces import UserError

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOPRUNE_CACHE", str(tmp_path / "cache"))


def draw(path: Path, shade: int, *, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade if mode == "L" else (shade, shade, 0)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """10 images per class in train, 4 in val, 5 in test; red and green of a pixel name the image."""
    shade = 0
    for part, number in (("train", 10), ("val", 4), ("test", 5)):
        for class_name in CLASSES:
            for index in range(number):
                draw(tmp_path / "data" / part / class_name / f"{index:02}.png", shade)
                shade += 1
    return tmp_path / "data"


def spec(folder: Path, **params: object) -> DataSpec:
    return DataSpec(name="image_folder", params={"path": str(folder), **params})


def shades(split: object) -> list[int]:
    return [int(value) for value in split.images[:, 0, 0, 0]]  # type: ignore[attr-defined]


def remove(path: Path) -> None:
    for file in path.rglob("*.*"):
        file.unlink()
    for child in sorted(path.iterdir()):
        child.rmdir()
    path.rmdir()


def test_val_is_the_search_split_where_it_exists(folder: Path) -> None:
    splits, test = load_splits(spec(folder)), load_test(spec(folder))
    assert splits.class_names == CLASSES
    assert (shades(splits.train), shades(splits.search), shades(test)) == (
        list(range(30)),
        list(range(30, 42)),
        list(range(42, 57)),
    )
    assert splits.train.images.shape == (30, 3, 8, 8)
    assert splits.train.mean == (0.485, 0.456, 0.406)
    assert splits.search.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_test_is_halved_by_class_and_file_name(folder: Path) -> None:
    chosen = spec(folder, search_from="test")
    assert shades(load_splits(chosen).search) == [42, 43, 47, 48, 52, 53]
    assert shades(load_test(chosen)) == [44, 45, 46, 49, 50, 51, 54, 55, 56]


def test_val_is_halved_where_there_is_no_test(folder: Path) -> None:
    remove(folder / "test")
    chosen = spec(folder, search_from="val")
    assert shades(load_splits(chosen).search) == [30, 31, 34, 35, 38, 39]
    assert shades(load_test(chosen)) == [32, 33, 36, 37, 40, 41]


def test_a_fraction_of_train_is_set_apart(folder: Path) -> None:
    chosen = spec(folder, search_from="train", search_fraction=0.2)
    splits, test = load_splits(chosen), load_test(chosen)
    assert sorted(shades(splits.train) + shades(splits.search)) == list(range(30))
    assert splits.search.labels.bincount().tolist() == [2, 2, 2]
    assert shades(test) == list(range(42, 57))


def test_train_alone_makes_all_three_parts(folder: Path) -> None:
    remove(folder / "test")
    remove(folder / "val")
    chosen = spec(folder, search_fraction=0.2)
    splits, test = load_splits(chosen), load_test(chosen)
    assert sorted(shades(splits.train) + shades(splits.search) + shades(test)) == list(range(30))
    assert splits.search.labels.bincount().tolist() == test.labels.bincount().tolist() == [2, 2, 2]


def test_loading_the_splits_never_opens_a_test_image(folder: Path) -> None:
    for path in (folder / "test").rglob("*.png"):
        path.write_bytes(b"no image")
    for path in sorted((folder / "val").rglob("*.png")):
        if path.stem in ("02", "03"):
            path.write_bytes(b"no image")
    load_splits(spec(folder, search_from="train"))
    remove(folder / "test")
    load_splits(spec(folder, search_from="val"))


def test_the_second_start_decodes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_splits(spec(folder))

    def refuse(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(images, "_decode", refuse)
    second = load_splits(spec(folder))
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.search.images, second.search.images)
    draw(folder / "train" / "cat" / "00.png", 200)
    with pytest.raises(AssertionError, match="decoded again"):
        load_splits(spec(folder))


def test_a_damaged_cache_is_made_again(folder: Path, tmp_path: Path) -> None:
    first = load_splits(spec(folder))
    for file in (tmp_path / "cache").rglob("*.npy"):
        file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(load_splits(spec(folder)).train.images, first.train.images)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is writable to root")
def test_a_cache_that_cant_be_written_is_no_mistake(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o500)
    assert len(load_splits(spec(folder)).train) == 30


def test_a_limit_decodes_only_what_it_keeps(folder: Path) -> None:
    for path in (folder / "train").rglob("*.png"):
        if path.stem > "07":
            path.unlink()
    splits = load_splits(spec(folder, num_train=6, num_search=3))
    assert splits.train.labels.bincount().tolist() == [2, 2, 2]
    assert splits.search.labels.bincount().tolist() == [1, 1, 1]


def test_images_are_brought_to_one_size(folder: Path) -> None:
    gradient = np.tile(np.arange(0, 240, 8, dtype=np.uint8)[None, :, None], (20, 1, 3))  # 20 high, 30 wide
    Image.fromarray(gradient).save(folder / "train" / "cat" / "00.png")
    with pytest.raises(UserError, match=r"data\.params\.image_size: must be set: .* is \(8, 8\)"):
        load_splits(spec(folder))
    image = load_splits(spec(folder, image_size=10)).train.images[0]
    assert image.shape == (3, 10, 10)
    # Halved to 10 x 15, then the centre: columns 2 to 11, each the mean of two neighbours 16 c + 4.
    assert (image[0, 5].int() - (16 * torch.arange(2, 12) + 4)).abs().max() <= 2
    assert load_splits(spec(folder, image_size=10, resize=12)).train.images.shape[2:] == (10, 10)


def test_grey_and_coloured_files_mix(folder: Path) -> None:
    draw(folder / "train" / "cat" / "00.png", 77, mode="L")
    assert load_splits(spec(folder)).train.images[0, :, 0, 0].tolist() == [77, 77, 77]
    assert load_splits(spec(folder, channels=1)).train.images.shape[1] == 1


def test_wrong_folders_are_named(folder: Path, tmp_path: Path) -> None:
    def message(**params: object) -> str:
        with pytest.raises(UserError) as caught:
            load_splits(DataSpec(name="image_folder", params={"path": str(folder), **params}))
        return str(caught.value)

    assert "there is no such folder" in message(path=str(tmp_path / "nowhere"))
    assert "must hold a folder `train`" in message(path=str(tmp_path))
    assert "valid: test, train, val" in message(search_from="valid") or "did you mean 'val'" in message(
        search_from="valid"
    )
    assert "must be between 0 and 1" in message(search_from="train", search_fraction=2)
    assert "at least image_size (8)" in message(image_size=8, resize=4)
    (folder / "train" / "dog" / "03.png").write_bytes(b"no image")
    assert f"{Path('train', 'dog', '03.png')}': is no readable image" in message()
    (folder / "val" / "howl").mkdir()
    assert "is a class that `train` has not; did you mean 'owl'" in message()
    remove(folder / "test" / "owl")
    (folder / "val" / "howl").rmdir()
    assert f"{Path('test', 'owl')}': holds no image" in message()
