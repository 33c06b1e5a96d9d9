"""Channels drawn by lot: the floor that every criterion has to clear."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pruners.evidence import Evidence
from pruners.registries import METHODS
from spaces import ChannelGroup, Domain, Integer


@METHODS.register("random")
@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """Uniform noise; the same seed draws the same lot for a group."""

    domains: ClassVar[Mapping[str, Domain]] = {"seed": Integer(low=0, high=999)}
    needs: ClassVar[frozenset[str]] = frozenset()

    seed: int = 0

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{group.name}".encode()))
        return torch.rand(group.width, generator=generator, dtype=torch.float64)
