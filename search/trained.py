"""Networks that were trained after the search, kept in the run's folder: tested once, and what an export takes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from evaluators.artifact import load_slim
from evaluators.recipe import Recipe
from evaluators.score import accuracy
from evaluators.split import Split
from evaluators.task import load_test
from search.loop import Job
from search.prepare import Prepared
from spaces import Candidate

RECORD = "trained.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetworks:
    """One folder per trial, as `load_slim` reads it, with a record of how it was trained.

    Attributes:
        path: of all of them.
        recipe: of the training.
        seed: of the training.
    """

    path: Path
    recipe: Recipe
    seed: int

    def keep(self, number: int, candidate: Candidate, files: Mapping[str, bytes]) -> Path:
        """Write a network's files; the record last, so that a folder with one is complete."""
        folder = self.path / f"{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        (folder / RECORD).write_text(json.dumps(self._record(candidate), indent=2) + "\n", encoding="utf-8")
        return folder

    def find(self, number: int, candidate: Candidate) -> nn.Module | None:
        """The trained network of a trial, on the processor; None where there is none or it was trained otherwise."""
        folder = self.path / f"{number:04d}"
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return load_slim(folder) if record == self._record(candidate) else None

    def _record(self, candidate: Candidate) -> dict[str, Any]:
        return {"candidate": json.loads(candidate.to_json()), "recipe": asdict(self.recipe), "seed": self.seed}


class TestAccuracy:
    """Keeps each trained network and measures it on the test split, which is read at the first one."""

    __test__ = False  # no test case of pytest's

    def __init__(self, networks: TrainedNetworks, prepared: Prepared) -> None:
        self._networks, self._prepared = networks, prepared
        self._test: Split | None = None

    def __call__(self, job: Job, files: Mapping[str, bytes]) -> float:
        """Accuracy in [0, 1]."""
        folder = self._networks.keep(job.number, job.candidate, files)
        device = self._prepared.task.device
        if self._test is None:
            self._test = load_test(self._prepared.spec).to(device)
        return accuracy(load_slim(folder).to(device), self._test).accuracy
