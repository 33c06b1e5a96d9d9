"""What is measured: one row of runs.csv per network, seed and protocol; and the protocol itself."""

from dataclasses import dataclass
from typing import Literal

from evaluators.recipe import Recipe
from spaces import UserError

DENSE = "dense"
RUNS = "runs.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fine-tuned network.

    Attributes:
        network: the dense network's name.
        contender: who chose the widths; `dense` is the network that everything is cut from, not trained further.
        budget: as in `networks.Chosen`.
        seed: of the fine-tuning.
        protocol: of the fine-tuning, in words.
        accuracy: share of the test split classified right, in [0, 1].
        recalibrated: on the search split before any step, after recalibration alone.
        key: equal for equal networks.
        search_seconds: wall-clock time of choosing; `search_cores` processes were at it.
        evaluations: candidates that the choice has scored.
        finetune_seconds: of this run.
        device: of the fine-tuning.
        versions: torch's and the choosing tool's.
    """

    network: str
    contender: str
    budget: str
    seed: int
    protocol: str
    budget_macs: int
    macs: int
    params: int
    dense_macs: int
    accuracy: float
    recalibrated: float
    key: str
    search_seconds: float
    search_cores: int
    evaluations: int
    finetune_seconds: float
    device: str
    versions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """The fine-tuning that is the same for all.

    Attributes:
        stages: steps and learning rate of each, one after the other; momentum starts anew in each.
        shape: `constant`, or `cosine` within each stage.
        batch_size: of all.
        recalibration: train images that batch norms see before the first step.
        num_train: train images in use; None: all that the data set has.
        precision: as in a recipe.
    """

    stages: tuple[tuple[int, float], ...] = ((200, 0.01), (80, 0.001))
    shape: Literal["constant", "cosine"] = "constant"
    batch_size: int = 128
    recalibration: int = 1024
    num_train: int | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def parse_stages(cls, text: str) -> tuple[tuple[int, float], ...]:
        """Stages from `200@0.01,80@0.001`.

        Raises:
            UserError: the text is none.
        """
        try:
            pairs = [part.split("@") for part in text.split(",")]
            return tuple((int(steps), float(lr)) for steps, lr in pairs)
        except ValueError:
            raise UserError("--schedule", text, "must be STEPS@LR for each stage, such as 200@0.01,80@0.001") from None

    @property
    def recipes(self) -> list[Recipe]:
        """One training per stage."""
        return [
            Recipe(steps=steps, lr=lr, batch_size=self.batch_size, schedule=self.shape, precision=self.precision)
            for steps, lr in self.stages
        ]

    @property
    def text(self) -> str:
        """In words, for the table."""
        stages = " + ".join(f"{steps} steps at {lr:g}" for steps, lr in self.stages)
        images = "all" if self.num_train is None else f"{self.num_train}"
        extra = "" if self.precision == "float32" else f", {self.precision}"
        return f"{stages} ({self.shape}), batch {self.batch_size}, {images} train images{extra}"
