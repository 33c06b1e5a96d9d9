"""From a candidate to a plan: the allocator solved for the budget, offsets added, whole channels, then which ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pruners.analysis import Analysis
from pruners.budget import fit, rounded_widths, within_budgets
from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.ledger import IntArray
from pruners.plan import Plan
from pruners.registries import ALLOCATORS, METHODS
from spaces import Candidate, ChannelGroup, PlanError

BISECTIONS = 24


def make_plan(candidate: Candidate, analysis: Analysis, evidence: Evidence) -> Plan:
    """The channels that a candidate keeps: within the budgets of MACs and latency; no channel more would fit.

    Raises:
        InfeasibleError: no network in reach meets the budget.
        PlanError: the allocator or the method gives numbers that can't be used.
        UserError: an unknown plugin or hyper-parameter.
    """
    groups, kept = analysis.groups, fitted_widths(candidate, analysis, evidence)
    method = METHODS.build(candidate.method.name, dict(candidate.method.params))
    return Plan.of(
        {group.name: choose(method, group, int(count), evidence) for group, count in zip(groups, kept, strict=True)}
    )


def fitted_widths(candidate: Candidate, analysis: Analysis, evidence: Evidence) -> IntArray:
    """How many channels of each group a candidate keeps, shape (num_groups,); `make_plan` adds which.

    Raises:
        InfeasibleError, PlanError, UserError: as `make_plan`.
    """
    ratios = solved_ratios(candidate, analysis, evidence) + offset_vector(candidate, analysis.groups)
    budget, cost = candidate.budget_macs, analysis.cost
    return fit(ratios, analysis.groups, cost, budget_macs=budget, latency=analysis.latency)


def solved_ratios(candidate: Candidate, analysis: Analysis, evidence: Evidence) -> FloatArray:
    """Removed fractions of the candidate's allocator, shape (num_groups,), its scalar bisected to the budgets."""
    allocator: Any = ALLOCATORS.build(candidate.allocator.name, dict(candidate.allocator.params))
    groups = analysis.groups
    meets = within_budgets(analysis.cost, analysis.latency, budget_macs=candidate.budget_macs)
    if allocator.scalar is None or allocator.scalar in dict(candidate.allocator.params):
        return _checked(allocator.ratios(groups, evidence), candidate)
    low, high = allocator.scalar_range
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        ratios = _checked(replace(allocator, **{allocator.scalar: middle}).ratios(groups, evidence), candidate)
        within = bool(meets(rounded_widths(ratios, groups)[None])[0])
        low, high = (low, middle) if within else (middle, high)
    return _checked(replace(allocator, **{allocator.scalar: high}).ratios(groups, evidence), candidate)


def offset_vector(candidate: Candidate, groups: Sequence[ChannelGroup]) -> FloatArray:
    """The candidate's offsets per group, shape (num_groups,); a stage's offset holds for each of its groups."""
    known = {group.name for group in groups} | {group.stage for group in groups}
    offsets = dict(candidate.offsets)
    for name in offsets:
        if name not in known:
            raise PlanError(f"offset for {name!r}, which is neither a group nor a stage of this network")
    return np.array([offsets.get(group.name, offsets.get(group.stage, 0.0)) for group in groups], dtype=np.float64)


def choose(method: Any, group: ChannelGroup, count: int, evidence: Evidence) -> tuple[int, ...]:
    """Indices of the `count` channels that stay, sorted; among equal scores the lower index stays."""
    if count == group.width:
        return tuple(range(group.width))
    if hasattr(method, "keep"):
        kept = tuple(sorted(int(index) for index in method.keep(group, count, evidence)))
        if len(set(kept)) != count:
            raise PlanError(f"method {type(method).__name__} kept {len(set(kept))} of {group.name}, asked for {count}")
        return kept
    score = evidence.derived(group, repr(method), lambda: method.score(group, evidence))
    if score.shape != (group.width,) or not bool(torch.isfinite(score).all()):
        raise PlanError(f"method {type(method).__name__} gave no finite score for every channel of {group.name}")
    order = torch.argsort(score, descending=True, stable=True)
    return tuple(sorted(order[:count].tolist()))


def _checked(ratios: FloatArray, candidate: Candidate) -> FloatArray:
    if not np.isfinite(ratios).all():
        raise PlanError(f"allocator {candidate.allocator.name} gave a ratio that is no number")
    return ratios
