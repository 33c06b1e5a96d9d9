"""Images in folders: one folder per part, one folder per class in it."""

import os
from pathlib import Path

import torch
from torch import Tensor

from evaluators.images import Decoding, ImageFiles
from evaluators.partition import carved, check_search_from, halves
from evaluators.registries import DATASETS
from evaluators.sources import Sources
from evaluators.split import Augment
from spaces import UserError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_KEY = "data.params.path"
_FEW = 20
"""So many classes fit into a message."""


@DATASETS.register("image_folder")
def image_folder(
    *,
    path: str,
    image_size: int | None = None,
    resize: int | None = None,
    channels: int = 3,
    search_from: str | None = None,
    search_fraction: float = 0.1,
) -> Sources:
    """A folder `train/<class>/*.jpg`, with `val/` and `test/` beside it where they exist.

    Args:
        path: the folder.
        image_size: height and width that every image is brought to; None where all files have one size already.
        resize: the shorter side is brought to this first, then the centre cut out; `image_size` where None.
        channels: 3, or 1 for grey.
        search_from: the part that candidates are scored on. `train` sets `search_fraction` of it apart. `val` takes it
            whole where there is a `test/`, else it and `test` take the first half of the held-out part, by class and
            file name, and leave the second half for the test. Default: `val` where `val/` and `test/` exist.
        search_fraction: of `train/`; where nothing else exists, as much again becomes the test split.

    Raises:
        UserError: a folder, class or image is missing or unreadable.
    """
    root = Path(path).expanduser()
    decoding = Decoding(size=image_size, resize=resize, channels=channels)
    class_names = _class_names(root)
    names = [name for name in ("train", "val", "test") if (root / name).is_dir()]
    files = {name: _list_files(root, name, class_names, decoding) for name in names}
    chosen = search_from or ("val" if len(files) == 3 else "train")
    check_search_from(chosen, allowed=tuple(names))
    train, search, test = _parts(files, chosen, search_fraction)
    augment: Augment = "crop_flip" if channels == 3 else "crop"
    return Sources(train=train, search=search, test=test, class_names=class_names, augment=augment)


def _parts(
    files: dict[str, ImageFiles], search_from: str, search_fraction: float
) -> tuple[ImageFiles, ImageFiles, ImageFiles]:
    train = files["train"]
    held_out = files.get("test", files.get("val"))
    if search_from == "val" and "test" in files:
        return train, files["val"], files["test"]
    if search_from != "train":
        first, second = halves(files[search_from].targets)
        return train, files[search_from].subset(first), files[search_from].subset(second)
    if held_out is None:
        train, held_out = _carve(train, search_fraction)
        search_fraction = min(0.99, search_fraction / (1 - search_fraction))
    train, search = _carve(train, search_fraction)
    return train, search, held_out


def _carve(files: ImageFiles, fraction: float) -> tuple[ImageFiles, ImageFiles]:
    stay, apart = carved(files.targets, fraction)
    return files.subset(stay), files.subset(apart)


def _class_names(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise UserError(_KEY, str(root), "there is no such folder")
    if not (root / "train").is_dir():
        raise UserError(_KEY, str(root), "must hold a folder `train` with one folder per class")
    found = sorted(entry.name for entry in os.scandir(root / "train") if entry.is_dir() and entry.name[0] != ".")
    if len(found) < 2:
        raise UserError(_KEY, str(root / "train"), f"must hold one folder per class, at least two; has {len(found)}")
    return tuple(found)


def _list_files(root: Path, part: str, class_names: tuple[str, ...], decoding: Decoding) -> ImageFiles:
    """The images of one part: class by class, file names sorted, sub-folders included."""
    here = {entry.name for entry in os.scandir(root / part) if entry.is_dir() and entry.name[0] != "."}
    strange = sorted(here - set(class_names))
    if strange:
        choices = class_names if len(class_names) <= _FEW else ()
        raise UserError(f"{_KEY}: {root / part}", strange[0], "is a class that `train` has not", choices=choices)
    names: list[str] = []
    labels: list[int] = []
    for label, class_name in enumerate(class_names):
        found = _images_under(root / part / class_name)
        if not found:
            raise UserError(_KEY, str(root / part / class_name), f"holds no image ({', '.join(_SUFFIXES)})")
        names += [f"{part}/{class_name}/{name}" for name in found]
        labels += [label] * len(found)
    targets: Tensor = torch.tensor(labels)
    return ImageFiles(root=root, names=tuple(names), targets=targets, decoding=decoding)


def _images_under(folder: Path) -> list[str]:
    found: list[str] = []
    for parent, _, files in os.walk(folder):
        prefix = os.path.relpath(parent, folder)
        kept = [name for name in files if name.lower().endswith(_SUFFIXES) and name[0] != "."]
        found += kept if prefix == "." else [f"{prefix}/{name}" for name in kept]
    return sorted(found)
