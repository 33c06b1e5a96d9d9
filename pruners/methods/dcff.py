"""Distinctiveness of a filter's similarity code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain, Float


@METHODS.register("dcff", paper="arXiv:2107.06916")
@dataclass(frozen=True, slots=True, kw_only=True)
class DCFF:
    """Mean Kullback-Leibler divergence of a filter's code from all others'; the least distinctive go first.

    The code of filter j is softmax over g of -|f_j - f_g| / temperature.

    Source: Lin et al., Dynamic-Coded Filter Fusion, arXiv:2107.06916: the score alone, without the
    fused training.
    """

    domains: ClassVar[Mapping[str, Domain]] = {"temperature": Float(low=0.01, high=10, log=True)}
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    fidelity: ClassVar[str] = "the score alone, without the fused training"

    temperature: float = 1.0

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        codes = (-evidence.distances(group) / self.temperature).log_softmax(dim=1)
        entropy = (codes.exp() * codes).sum(dim=1)
        return entropy - codes.exp() @ codes.mean(dim=0)  # the mean over all others' codes taken first
