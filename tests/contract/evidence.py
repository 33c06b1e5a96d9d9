"""Small networks with all their evidence, shared by the contract suites of plugins."""

import copy
import functools
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pruners import Analysis, Evidence, analyse, gather_evidence
from pruners.evidence import KINDS
from spaces import Categorical, Domain, Entry
from tests.contract.cutting import randomise
from tests.contract.small_networks import PATTERNS, Network, block, head, image, pattern

NETWORKS = ("residual", "depthwise", "grouped", "flatten")
"""Coupled layers, depthwise and grouped convolutions, a flattened map before a linear layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network and what is known of it."""

    model: nn.Module
    example: Tensor
    analysis: Analysis
    evidence: Evidence


@pattern
def residual_blocks() -> Network:
    """Two blocks that could be left out, written as modules."""

    class Block(nn.Module):
        def __init__(self, inner: int) -> None:
            super().__init__()
            self.first, self.second = block(8, inner), nn.Conv2d(inner, 8, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x + self.second(self.first(x)))

    return nn.Sequential(block(3, 8), Block(6), Block(10), head(8)), image()


@functools.cache
def case(network: str, needs: frozenset[str] = KINDS) -> Case:
    torch.manual_seed(0)
    model, example = PATTERNS[network]()
    randomise(model)
    analysis = analyse(model, example)
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(8, *example.shape[1:], generator=generator), torch.arange(8) % 5) for _ in range(2)]
    evidence = gather_evidence(model, analysis, needs=needs, batches=batches)
    return Case(model=model, example=example, analysis=analysis, evidence=evidence)


def contents(evidence: Evidence) -> tuple[Any, ...]:
    """A copy of everything that a plugin could disturb."""
    return copy.deepcopy((dict(evidence.tensors), dict(evidence.figures), dict(evidence.blocks)))


def same(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return bool(torch.equal(left, right))
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, tuple):
        return all(same(one, two) for one, two in zip(left, right, strict=True))
    return bool(left == right)


def defaults(entry: Entry[Any]) -> dict[str, Any]:
    """Searched hyper-parameters at their published values."""
    values = {field.name: field.default for field in fields(entry.target)}
    return {name: values[name] for name in entry.domains if values[name] is not MISSING}


def corners(entry: Entry[Any]) -> list[dict[str, Any]]:
    """The published settings, and every hyper-parameter once at each end or choice of its domain."""
    found = [defaults(entry)]
    for name, domain in entry.domains.items():
        found += [{**defaults(entry), name: value} for value in _ends(domain)]
    return found


def _ends(domain: Domain) -> tuple[Any, ...]:
    return domain.choices if isinstance(domain, Categorical) else (domain.low, domain.high)
