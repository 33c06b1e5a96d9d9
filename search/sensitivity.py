"""Which channel groups a network can spare: each cut alone, from a configuration to a table."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from evaluators.sensitivity import Sensitivity, sensitivity
from search.config import Config
from search.prepare import Say, prepare, quiet

FILES = ("sensitivity.csv", "sensitivity.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityReport:
    """Every group of one network, cut alone.

    Attributes:
        model: name of the network.
        method: name of what chose the channels.
        dense_accuracy: on the search split, in [0, 1].
        ratios: fractions that were removed.
        groups: in the order of the forward pass.
    """

    model: str
    method: str
    dense_accuracy: float
    ratios: tuple[float, ...]
    groups: tuple[Sensitivity, ...]

    def most_sensitive_first(self) -> tuple[Sensitivity, ...]:
        """Groups by their mean change of accuracy; among equals, the higher loss comes first."""

        def rank(group: Sensitivity) -> tuple[float, float]:
            return group.mean_change, -sum(cut.loss for cut in group.cuts)

        return tuple(sorted(self.groups, key=rank))

    def rows(self) -> list[Mapping[str, Any]]:
        """One row for each group and ratio, the most sensitive group first; fractions, not per cent."""
        return [
            {"group": group.group, "stage": group.stage, "width": group.width, **asdict(cut)}
            for group in self.most_sensitive_first()
            for cut in group.cuts
        ]

    def write_csv(self, path: Path) -> None:
        """`rows` with a header."""
        rows = self.rows()
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def network_sensitivity(config: Config, *, ratios: Sequence[float], say: Say = quiet) -> SensitivityReport:
    """Measure the configuration's network with the first method of its space.

    Args:
        config: its network has weights, or a recipe under `train`.
        ratios: fractions of each group's channels to remove.
        say: hears of each stage.

    Raises:
        UserError: a mistake in the configuration, data, weights or ratios.
        PlanError: the method gives numbers that can't be used.
    """
    prepared = prepare(config, say=say)
    method = next(prepared.space.anchors()).method

    def announce(index: int, total: int) -> None:
        say(f"cutting group {index + 1} of {total}")

    groups = sensitivity(
        prepared.task,
        prepared.model,
        prepared.analysis,
        prepared.evidence,
        method=method,
        ratios=ratios,
        generator=torch.Generator().manual_seed(config.seed),
        on_group=announce,
    )
    return SensitivityReport(
        model=config.model.name,
        method=method.name,
        dense_accuracy=prepared.dense.accuracy,
        ratios=tuple(ratios),
        groups=groups,
    )
