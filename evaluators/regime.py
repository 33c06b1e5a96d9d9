"""What a regime promises: it changes the dense network while it trains, so that an ordinary method reads it well."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from torch import Tensor, nn

from evaluators.train import TrainingHook
from pruners import Plan
from spaces import ChannelGroup, Domain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """The training that a regime takes part in.

    Attributes:
        groups: channels that may be cut; none where single weights are masked.
        num_steps: optimiser steps of the training; schedules are fitted into them.
        plan: the budget's plan on the network as it is now, channels picked by smallest L1 norm.
        example: one normalised image (1, C, H, W), on the network's device.
    """

    groups: tuple[ChannelGroup, ...]
    num_steps: int
    plan: Callable[[nn.Module], Plan]
    example: Tensor


class Regime(Protocol):
    """One training-time system; a frozen dataclass of its hyper-parameters.

    Attributes:
        domains: hyper-parameters and their ranges.
        granularity: `channels`, or `weights`: single weights are masked, and the network gets no smaller.
        reads: the method that reads the trained network by default; empty for weights.
        fidelity: one line on what is as published and what is ours.
    """

    domains: ClassVar[Mapping[str, Domain]]
    granularity: ClassVar[Literal["channels", "weights"]]
    reads: ClassVar[str]
    fidelity: ClassVar[str]

    def hooks(self, model: nn.Module, setting: Setting) -> tuple[TrainingHook, ...]:
        """What the training loop calls, in this order; used for one training only.

        Args:
            model: the network that will be trained; may be changed in place.
            setting: of the training.

        Raises:
            UserError: the network or the length of the training does not suit the regime.
        """
        ...
