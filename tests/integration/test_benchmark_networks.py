"""The benchmark's networks score what their data sheet says: weights, decoding, normalisation and halves are right."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluators.build import build_model
from evaluators.load import load_splits, load_test
from evaluators.score import accuracy
from evaluators.specs import DataSpec, ModelSpec

FOLDER = os.environ.get("PARETOPRUNE_BENCHMARK_DATA")
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(FOLDER is None, reason="PARETOPRUNE_BENCHMARK_DATA is not set"),
]
NETWORKS = [
    ("resnet20", "resnet20", 0.8816, 0.8842),
    ("resnet56", "resnet56", 0.8978, 0.8994),
    ("cifar_vgg16_bn", "vgg16_bn", 0.8762, 0.8794),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataSpec]:
    """All test images, and of the train images the first of each class, which nothing here looks at."""
    root = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(Path(str(FOLDER)) / "cifar10-jpeg.tar.gz") as archive:
        members = [m for m in archive if "test/" in m.name or m.name.endswith("/0000.jpg")]
        archive.extractall(root, members=members, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARETOPRUNE_CACHE", str(root / "cache"))
        yield DataSpec(name="image_folder", params={"path": str(root), "search_from": "test"})


@pytest.mark.parametrize(("name", "file", "search", "test"), NETWORKS)
def test_scores_are_those_of_the_data_sheet(images: DataSpec, name: str, file: str, search: float, test: float) -> None:
    spec = ModelSpec(name=name, weights=str(Path(str(FOLDER)) / f"{file}.safetensors"))
    model = build_model(spec, num_classes=10, in_channels=3)
    assert accuracy(model, load_splits(images).search).accuracy == pytest.approx(search, abs=5e-4)
    assert accuracy(model, load_test(images)).accuracy == pytest.approx(test, abs=5e-4)
