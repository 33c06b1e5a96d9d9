"""What a proxy promises, and a proxy as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from evaluators.registries import PROXIES
from evaluators.score import Score
from evaluators.task import Task
from spaces import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyCost:
    """Images that one evaluation sends through the network.

    Attributes:
        num_forward: forward passes, the score's included.
        num_backward: forward and backward passes of a training.
    """

    num_forward: int
    num_backward: int

    @property
    def num_equivalent(self) -> int:
        """In forward passes, a backward pass taken for two: what rungs of a ladder are compared by."""
        return self.num_forward + 3 * self.num_backward


class Proxy(Protocol):
    """Says how good a pruned network would become; a frozen dataclass of its hyper-parameters."""

    domains: ClassVar[Mapping[str, Domain]]

    def cost(self, *, num_train: int, num_search: int) -> ProxyCost:
        """What `run` costs on splits of these sizes."""
        ...

    def run(
        self, model: nn.Module, task: Task, *, generator: torch.Generator, teacher: nn.Module | None = None
    ) -> Score:
        """The score on the search split. Changes `model`, which is the caller's to spend.

        Args:
            model: the pruned network with the weights that it inherits, on the task's device.
            task: the data.
            generator: on the processor; everything random follows from it.
            teacher: the dense network, for distillation; not changed.

        Raises:
            NonFiniteLossError: a training diverged.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySpec:
    """One rung of a ladder, as the user wrote it."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def build(self, *, key: str = "ladder") -> Proxy:
        """The proxy.

        Raises:
            UserError: unknown proxy or hyper-parameter, or a value outside its domain.
        """
        proxy: Proxy = PROXIES.build(self.name, self.params, key=key)
        return proxy
