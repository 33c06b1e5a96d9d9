"""What every worker gets once, through Ray's object store."""

from dataclasses import dataclass
from typing import Any

from evaluators.task import TaskSpec
from evaluators.worker import Evaluator


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The parts of an evaluator, and how the worker runs.

    Attributes:
        task: network, data and device.
        splits: decoded data, train and search only.
        analysis: groups and cost model of the dense network.
        evidence: statistics that methods and allocators read.
        ladder: proxies from the cheapest to the dearest.
        seed: of every evaluation.
        threads: CPU threads of one worker.
        timeout_seconds: longest time of one evaluation.
        hangs: folder for the stacks of workers that hung.
    """

    task: TaskSpec
    splits: Any
    analysis: Any
    evidence: Any
    ladder: tuple[Any, ...]
    seed: int
    threads: float
    timeout_seconds: float | None
    hangs: str

    def build(self) -> Evaluator:
        """The evaluator of this process."""
        return Evaluator(self.task, self.splits, self.analysis, self.evidence, self.ladder)
