"""What came out of evaluating one candidate."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Status = Literal["complete", "failed", "infeasible"]
_MEASURED = ("accuracy", "loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A result, or the reason why there is none.

    Attributes:
        status: `complete`; `failed`: the candidate alone is at fault; `infeasible`: no network meets its budget.
        fidelity: the rung of the ladder, from 0.
        seed: that it was evaluated with.
        accuracy: fraction of right answers on the search split, higher is better; not a number unless complete.
        loss: mean cross-entropy there in nats, lower is better; not a number unless complete.
        macs: of the pruned network, for one image; 0 where there is none.
        thop_macs: the same by thop's rules.
        params: its parameters.
        latency_ms: milliseconds of a forward pass by the run's latency table, before a step; None without a table.
        test_accuracy: the same on the test split, of a network trained after the search; None of every other.
        seconds: wall-clock time of the whole evaluation.
        reason: one line, unless complete.
        timings: seconds of its parts: `plan` and `slim`, or `rounds` in their place; `proxy`.
        device: what it ran on, such as `cuda: NVIDIA H200`; empty where nothing ran.
    """

    status: Status
    fidelity: int
    seed: int
    accuracy: float = math.nan
    loss: float = math.nan
    macs: int = 0
    thop_macs: int = 0
    params: int = 0
    latency_ms: float | None = None
    test_accuracy: float | None = None
    seconds: float = 0.0
    reason: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    device: str = ""

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ValueError(f"status must be one of {get_args(Status)}, got {self.status!r}")
        complete = self.status == "complete"
        if complete != (self.reason is None):
            raise ValueError(f"exactly the evaluations that are not complete have a reason, got {self}")
        if complete and not (0 <= self.accuracy <= 1 and math.isfinite(self.loss) and self.macs > 0):
            raise ValueError(f"a complete evaluation needs an accuracy in [0, 1], a finite loss and macs, got {self}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data; what is not a number becomes None, which JSON has."""
        data = asdict(self)
        return {**data, **{name: None for name in _MEASURED if math.isnan(data[name])}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Evaluation":
        """The inverse of `to_dict`."""
        return cls(**{**data, **{name: math.nan for name in _MEASURED if data[name] is None}})

    def to_json(self) -> str:
        """JSON with sorted keys."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """The inverse of `to_json`."""
        return cls.from_dict(json.loads(text))
