"""What a contender chose, on disk: little more than the channels that it keeps.

Every network here is a slice of the dense one, so its weights follow from the dense weights and the kept channels; the
fine-tuning half needs nothing else. A network that a step has changed as well is kept with its weights beside it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from evaluators.artifact import WEIGHTS, load_slim
from evaluators.specs import TaskSpec
from pruners import GroupRules, Plan, slim
from spaces import ChannelGroup, UserError

FOLDER = "networks"
"""In OUT; it names paths of the machine and may hold weights, so git leaves it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One network of one contender.

    Attributes:
        contender: who chose it; a name of `contenders.CONTENDERS`.
        budget: `0.5`, a fraction of the dense network's MACs, or `fastnas@0.5`, FastNAS's own MACs at that budget.
        budget_macs: the same in MACs of one image.
        macs: what the network has.
        params: likewise.
        kept: group -> channels that stay; None where the weights lie beside it, or there is no network.
        seconds: wall-clock time of choosing; of a search that answers every budget at once, all of it.
        cores: processes that were at it, each with one thread.
        evaluations: candidate networks that were scored on data.
        version: of the tool.
        reason: why there is no network, or empty.
    """

    contender: str
    budget: str
    budget_macs: int
    macs: int = 0
    params: int = 0
    kept: Mapping[str, Sequence[int]] | None = None
    seconds: float = 0.0
    cores: int = 1
    evaluations: int = 0
    version: str = ""
    reason: str = ""

    @property
    def place(self) -> Path:
        """Below the folder of networks, without a suffix."""
        return Path(self.contender) / self.budget

    def write(self, networks: Path) -> None:
        """Keep it."""
        path = networks / f"{self.place}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def network(self, dense: nn.Module, groups: Sequence[ChannelGroup], networks: Path) -> nn.Module:
        """The network with the weights that it inherits, where `dense` lies, in evaluation mode."""
        if self.kept is not None:
            return slim(dense, groups, Plan.of(self.kept)).eval()
        return load_slim(networks / self.place).to(next(dense.parameters()).device)

    def key(self, networks: Path) -> str:
        """Equal networks of one dense network have equal keys."""
        if self.kept is not None:
            content = json.dumps({name: list(kept) for name, kept in sorted(self.kept.items())}).encode()
        else:
            content = (networks / self.place / WEIGHTS).read_bytes()
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What all contenders prune."""

    task: TaskSpec
    rules: GroupRules
    dense_macs: int
    dense_params: int

    def write(self, networks: Path) -> None:
        """Keep it.

        Raises:
            UserError: the folder is of another subject.
        """
        networks.mkdir(parents=True, exist_ok=True)
        (networks / ".gitignore").write_text("*\n", encoding="utf-8")
        path = networks / "subject.json"
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"  # parameters come in no fixed order
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise UserError("--out", str(networks.parent), "holds networks of another task; take another folder")
        path.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, networks: Path) -> "Subject":
        """What `choose` wrote.

        Raises:
            UserError: nothing has been chosen yet.
        """
        path = networks / "subject.json"
        if not path.exists():
            raise UserError("--out", str(networks.parent), "has no chosen networks; run `choose` first")
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rules: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data["rules"].items()
        }
        rules["ratios"] = {pattern: tuple(bounds) for pattern, bounds in rules["ratios"].items()}
        return cls(**{**data, "task": TaskSpec.from_dict(data["task"]), "rules": GroupRules(**rules)})


def read_chosen(networks: Path) -> list[Chosen]:
    """Everything chosen so far, by contender and budget."""
    return [Chosen(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(networks.glob("*/*.json"))]
