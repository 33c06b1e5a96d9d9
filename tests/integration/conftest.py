"""One Ray for all tests of this folder, and a search that takes a second."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.config import Config
from search.config_file import parse_config

TINY: dict[str, Any] = {
    "model": {"name": "digits_resnet", "num_blocks": 1, "width": 4},
    "data": {"name": "digits", "num_train": 200, "num_search": 100},
    "target_flops": "0.3:0.8",
    "trials": 6,
    "train": {"steps": 20},
    "space": {"preset": "stagewise", "allocators": "uniform", "methods": ["l1", "l2", "fpgm"]},
    "ladder": [{"proxy": "recalibrate", "num_samples": 64}],
    "tracking": {"enabled": False},
    "workers": {"count": 2},
    # `auto` would let a stopwatch choose, and searches would differ
    "precision": "float32",
}


@pytest.fixture(scope="session")
def ray_two_cpus() -> Iterator[None]:
    """A local Ray with two processors, which the searches of this process use."""
    import ray

    from search.config import Workers
    from search.runtime.session import start_local

    start_local(Workers(count=2), use_gpu=False)
    yield
    ray.shutdown()


@pytest.fixture
def tiny() -> Any:
    """Makes a configuration: TINY with changes."""

    def make(**changes: Any) -> Config:
        return parse_config({**TINY, **changes})

    return make


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs."""
    return tmp_path / "runs"
