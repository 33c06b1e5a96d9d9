"""Fisher information of the channel's mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners import figures
from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import Categorical, ChannelGroup, Domain


@METHODS.register("fisher", paper="arXiv:2108.00708")
@dataclass(frozen=True, slots=True, kw_only=True)
class Fisher:
    """Second-order increase of the loss if the channel went, the Hessian taken as Fisher information; small go first.

    `mask`: half the mean over samples of the squared gradient of one mask over the whole coupled group (group Fisher
    pruning, arXiv:2108.00708; its division by memory is left to allocators, since it is the same for
    all channels of a group). `weights`: half the sum of w^2 g^2 over everything that computes the channel, g of a batch
    (Optimal Brain Damage with the empirical Fisher diagonal).
    """

    domains: ClassVar[Mapping[str, Domain]] = {"form": Categorical(choices=("mask", "weights"))}
    needs: ClassVar[frozenset[str]] = frozenset({"activations", "gradients"})
    fidelity: ClassVar[str] = "one-shot; `weights` squares a batch's gradient, not a sample's"

    form: str = "mask"

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        figure = figures.MASK_SQUARE if self.form == "mask" else figures.ELEMENT_TAYLOR
        return evidence.figure(group, figure) / 2
