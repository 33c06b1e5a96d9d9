"""Growing regularisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from evaluators.growing import Growing, Growth
from evaluators.regime import Setting
from evaluators.registries import REGIMES
from evaluators.train import TrainingHook
from spaces import Categorical, Domain, Float, Integer, UserError

PICK_LIMIT, PICK_DELTA = 1e-2, 0.1
"""Factor at which variant 2 picks, and its steps as a share of `delta`: both as published."""


@REGIMES.register("greg", paper="arXiv:2012.09243")
@dataclass(frozen=True, slots=True, kw_only=True)
class GReg:
    """Growing regularisation: the L2 factor of channels that will go rises step by step while the network trains.

    Source: Wang et al., Neural Pruning via Growing Regularization, arXiv:2012.09243, algorithms 1 and 2: gradient +=
    factor * w on filters; every `interval` steps the factor rises by `delta`, up to `limit` or until the kept filters
    are a thousand times as large. Variant 1 picks the budget's channels by L1 at once. Variant 2 first raises all to
    0.01, then picks, and gives those that stay the factor `recover`.

    Published: delta 1e-4 to limit 1, so 50,000 steps, then 40,000 more at the limit. Without `delta` the growth is
    fitted into the training, which is ours: `picking` and `growing` are the shares of the steps for it.
    """

    domains: ClassVar[Mapping[str, Domain]] = {
        "variant": Categorical(choices=(1, 2)),
        "limit": Float(low=0.1, high=10.0, log=True),
        "interval": Integer(low=1, high=20),
        "delta": Float(low=1e-5, high=1.0, log=True),
        "growing": Float(low=0.1, high=0.7),
        "picking": Float(low=0.05, high=0.3),
        "recover": Float(low=-1e-3, high=0.0),
    }
    granularity: ClassVar[Literal["channels", "weights"]] = "channels"
    reads: ClassVar[str] = "l1"
    fidelity: ClassVar[str] = "faithful with `delta` given; without it the schedule is fitted into the training"

    variant: int = 1
    limit: float = 1.0
    interval: int = 5
    delta: float | None = None
    growing: float = 0.5
    picking: float = 0.2
    recover: float = -1e-4

    def hooks(self, model: nn.Module, setting: Setting) -> tuple[TrainingHook, ...]:
        return (Growing(model, setting, self.growth(setting.num_steps)),)

    def growth(self, num_steps: int) -> Growth:
        """The schedule in numbers.

        Raises:
            UserError: the training is too short for the `delta` that is given.
        """
        interval = max(1, min(self.interval, int(self.picking * num_steps)))
        pick_limit = PICK_LIMIT if self.variant == 2 else 0.0
        if self.delta is None:
            delta = (self.limit - pick_limit) / max(1, int(self.growing * num_steps) // interval)
            pick_delta = pick_limit / max(1, int(self.picking * num_steps) // interval)
        else:
            delta, pick_delta = self.delta, PICK_DELTA * self.delta
        growth = Growth(
            interval=interval,
            delta=delta,
            limit=self.limit,
            pick_delta=pick_delta,
            pick_limit=pick_limit,
            recover=self.recover if self.variant == 2 else 0.0,
        )
        if self.delta is not None and growth.num_steps > num_steps:
            rule = f"takes {growth.num_steps} steps to reach its limit, the training has {num_steps}; leave it out"
            raise UserError("regime.greg.delta", self.delta, rule)
        return growth
