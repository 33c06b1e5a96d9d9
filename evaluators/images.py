"""Image files into one uint8 tensor, decoded once and kept in the cache folder."""

import contextlib
import hashlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluators.cache import cache_dir
from spaces import UserError

_CACHE_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How a file becomes pixels.

    Attributes:
        size: height and width of the result; None: as the file is, and all files must agree.
        resize: the shorter side is brought to this before `size` is cut from the centre; None: to `size`.
        channels: 3 or 1.
    """

    size: int | None
    resize: int | None
    channels: int

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise UserError("data.params.channels", self.channels, "must be 1 or 3")
        if self.size is not None and self.size < 1:
            raise UserError("data.params.image_size", self.size, "must be at least 1, or null")
        if self.resize is not None and (self.size is None or self.resize < self.size):
            raise UserError("data.params.resize", self.resize, f"must be at least image_size ({self.size})")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageFiles:
    """Files of one part, with their labels; see `evaluators.sources.Decodable`.

    Attributes:
        root: the folder that `names` are relative to.
        names: of the files.
        targets: (N,), int64.
        decoding: the same for all.
    """

    root: Path
    names: tuple[str, ...]
    targets: Tensor
    decoding: Decoding

    def subset(self, indices: Tensor) -> "ImageFiles":
        """The files `indices`."""
        names = tuple(self.names[index] for index in indices.tolist())
        return ImageFiles(root=self.root, names=names, targets=self.targets[indices], decoding=self.decoding)

    def decode(self, indices: Tensor) -> Tensor:
        """Images (N, C, H, W), uint8, from the cache where these very files have been decoded before.

        Raises:
            UserError: a file is no image, or they differ in size and `size` is None.
        """
        files = self.subset(indices)
        cached = cache_dir() / "images" / f"{files._digest()}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):  # absent, or damaged: decode again
            images: NDArray[np.uint8] = np.load(cached, allow_pickle=False)
            if len(images) == len(files.names):
                return torch.from_numpy(images)
        images = files._decode_all()
        _store(images, cached)
        return torch.from_numpy(images)

    def _digest(self) -> str:
        settings = [_CACHE_FORMAT, self.decoding.size, self.decoding.resize, self.decoding.channels]
        digest = hashlib.sha256(json.dumps([str(self.root.resolve()), *settings]).encode())
        for name in self.names:
            state = os.stat(self.root / name)
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
        return digest.hexdigest()[:32]

    def _decode_all(self) -> NDArray[np.uint8]:
        first = _decode(self.root / self.names[0], self.decoding)
        images = np.empty((len(self.names), *first.shape), dtype=np.uint8)

        def fill(index: int) -> None:
            image = _decode(self.root / self.names[index], self.decoding)
            if image.shape != first.shape:
                sizes = f"{image.shape[1:]}, {self.names[0]} is {first.shape[1:]}"
                raise UserError("data.params.image_size", None, f"must be set: {self.names[index]} is {sizes}")
            images[index] = image

        with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
            for _ in pool.map(fill, range(len(self.names)), chunksize=64):
                pass
        return images


def _decode(path: Path, decoding: Decoding) -> NDArray[np.uint8]:
    """One image (C, H, W)."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = file.convert("RGB" if decoding.channels == 3 else "L")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError("data.params.path", str(path), f"is no readable image ({error})") from error
    if decoding.size is not None:
        image = _resized(image, decoding.size, decoding.resize or decoding.size)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _resized(image: Any, size: int, shorter: int) -> Any:
    """Shorter side to `shorter`, then the central square of `size`, as torchvision's Resize and CenterCrop."""
    from PIL import Image

    width, height = image.size
    if (width, height) == (size, size) == (shorter, shorter):
        return image
    scale = shorter / min(width, height)
    resized = image.resize((max(size, int(width * scale)), max(size, int(height * scale))), Image.Resampling.BILINEAR)
    left, top = round((resized.width - size) / 2), round((resized.height - size) / 2)
    return resized.crop((left, top, left + size, top + size))


def _store(images: NDArray[np.uint8], path: Path) -> None:
    """Whole or not at all, however many processes store it."""
    with contextlib.suppress(OSError):  # a full or read-only disk costs the next start some time, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.save(file, images)
                file.close()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
