"""What every worker gets once, through Ray's object store."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluators.task import TaskSpec
from evaluators.worker import Evaluator
from search.runtime.shared import SharedSplits


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The parts of an evaluator, and how the worker runs.

    Attributes:
        task: network, data and device.
        splits: decoded data, train and search only; all workers of a machine read one copy.
        analysis: groups and cost model of the dense network.
        evidence: statistics that methods and allocators read.
        ladder: proxies from the cheapest to the dearest.
        final: the fidelity from which on the trained networks are wanted back.
        seed: of every evaluation.
        threads: CPU threads of one worker.
        timeout_seconds: longest time of one evaluation.
        hangs: folder for the stacks of workers that hung.
        weights: content of the dense network's file, for workers that do not see it.
    """

    task: TaskSpec
    splits: SharedSplits
    analysis: Any
    evidence: Any
    ladder: tuple[Any, ...]
    final: int
    seed: int
    threads: float
    timeout_seconds: float | None
    hangs: str
    weights: bytes | None = None

    def build(self) -> Evaluator:
        """The evaluator of this process."""
        return Evaluator(self._local_task(), self.splits.splits(), self.analysis, self.evidence, self.ladder)

    def _local_task(self) -> TaskSpec:
        """The task, its weights where this machine finds them."""
        model = self.task.model
        if model.weights is None or self.weights is None or Path(model.weights).exists():
            return self.task
        folder = Path(tempfile.mkdtemp(prefix="paretoprune-"))
        path = folder / Path(model.weights).name
        path.write_bytes(self.weights)
        return replace(self.task, model=replace(model, weights=str(path)))
