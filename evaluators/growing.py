"""L2 factors of single channels that grow while a network trains."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from evaluators.owned import Owned
from evaluators.regime import Setting
from spaces import ChannelGroup

SEPARATED = 1000.0
"""Mean norm of kept channels over that of the others at which a group's factors stop growing (arXiv:2012.09243)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A schedule.

    Attributes:
        interval: steps between two raises.
        delta: of one raise of the picked channels' factors.
        limit: of the factors.
        pick_delta: of one raise of all channels' factors, before any is picked.
        pick_limit: factor of all channels at which those that go are picked; 0 picks at once.
        recover: factor of the channels that stay, once picked; negative ones grow.
    """

    interval: int
    delta: float
    limit: float
    pick_delta: float = 0.0
    pick_limit: float = 0.0
    recover: float = 0.0

    @property
    def num_steps(self) -> int:
        """Steps until the limit is reached."""
        picking = math.ceil(self.pick_limit / self.pick_delta - 1e-6) if self.pick_limit else 0
        return self.interval * (picking + math.ceil((self.limit - self.pick_limit) / self.delta - 1e-6))


class Growing:
    """A `TrainingHook`: half the factor times a channel's squared norm, so that factor * w joins the gradient.

    Attributes:
        factors: of each group's channels, shape (width,).
        going: channels that will be cut, by group, as boolean masks (width,); None before they are picked.
    """

    def __init__(self, model: nn.Module, setting: Setting, growth: Growth) -> None:
        self._setting, self._growth = setting, growth
        self._pieces = [(group, group.with_role("producer")) for group in setting.groups]
        self._owned = Owned(model, setting.groups)
        device = next(model.parameters()).device
        self.factors = {group.name: torch.zeros(group.width, device=device) for group in setting.groups}
        self.going: dict[str, Tensor] | None = None
        if not growth.pick_limit:
            self._pick(model)

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        """Half the sum over channels of factor * squared norm."""
        terms = [
            (self.factors[group.name] * self._owned.squared_norms(group, pieces)).sum()
            for group, pieces in self._pieces
        ]
        return 0.5 * torch.stack(terms).sum() if terms else None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Raise the factors when it is time."""
        if (step + 1) % self._growth.interval:
            return
        if self.going is None:
            for factor in self.factors.values():
                factor.add_(self._growth.pick_delta).clamp_(max=self._growth.pick_limit)
            if all(float(factor.min()) > self._growth.pick_limit * (1 - 1e-4) for factor in self.factors.values()):
                self._pick(model)
            return
        for group in self._setting.groups:
            if not self._separated(group, self.going[group.name]):
                raised = (self.factors[group.name] + self._growth.delta).clamp(max=self._growth.limit)
                self.factors[group.name] = torch.where(self.going[group.name], raised, self.factors[group.name])

    def _pick(self, model: nn.Module) -> None:
        kept = dict(self._setting.plan(model))
        self.going = {}
        for group in self._setting.groups:
            factor = self.factors[group.name]
            going = torch.ones_like(factor, dtype=torch.bool)
            going[list(kept.get(group.name, range(group.width)))] = False
            self.going[group.name] = going
            factor.masked_fill_(~going, self._growth.recover)

    def _separated(self, group: ChannelGroup, going: Tensor) -> bool:
        with torch.no_grad():
            sums = self._owned.absolute_sums(group, group.with_role("producer"))
        if not bool(going.any()):
            return True
        return bool(sums[~going].mean() > SEPARATED * sums[going].mean())
