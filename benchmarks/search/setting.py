"""What a contender is given: the prepared task and the budgets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.search.networks import Chosen
from pruners import Plan
from search.config import Config
from search.prepare import Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """MACs that a network may have; the label is what tables show."""

    label: str
    macs: int
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One network to prune.

    Attributes:
        prepared: data, dense network and groups; the test split is not among it.
        config: of our own searches.
        analysis_seconds: what finding and proving the groups takes.
        out: the benchmark's folder.
        modelopt_python: interpreter of the environment with NVIDIA Model Optimizer.
        threads: of rivals that are one process.
        divisor: what FastNAS's widths are multiples of.
    """

    prepared: Prepared
    config: Config
    analysis_seconds: float
    out: Path
    modelopt_python: Path
    threads: int = 1
    divisor: int = 4

    def chosen(self, contender: str, budget: Budget, kept: Mapping[str, Sequence[int]], **facts: Any) -> Chosen:
        """The record of a network that is a slice of the dense one, with its exact cost."""
        analysis = self.prepared.analysis
        counts = Plan.of(kept).counts(analysis.groups)
        return Chosen(
            contender=contender,
            budget=budget.label,
            budget_macs=budget.macs,
            kept={name: [int(index) for index in indices] for name, indices in kept.items()},
            macs=int(analysis.cost.macs(counts)[0]),
            params=int(analysis.cost.params(counts)[0]),
            **facts,
        )


Contender: TypeAlias = Callable[[Setting, Sequence[Budget]], Iterator[Chosen]]
"""Chooses a network for each budget, or says why there is none; yields each as soon as it is there."""


def none_found(contender: str, budget: Budget, reason: str, **facts: Any) -> Chosen:
    """The record of a budget that a contender can't meet."""
    return Chosen(contender=contender, budget=budget.label, budget_macs=budget.macs, reason=reason, **facts)
