"""How a step that saves compute of its own meets the candidate's budget.

Channels are first cut to a larger budget; the step then solves its scalar, so that the finished network has at most the
candidate's MACs. A step takes part by having `scalar`, `scalar_range`, `share` and `prepare`; others are just applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from pruners.analysis import Analysis
from pruners.cost import CostModel
from pruners.decide import make_plan
from pruners.evidence import Evidence
from pruners.plan import Plan
from pruners.registries import STEPS
from spaces import Candidate, ChannelGroup, PlanError

BISECTIONS = 14


def channel_candidate(candidate: Candidate, cost: CostModel) -> Candidate:
    """The candidate with the budget that its channels are cut to; itself where its step has nothing to solve."""
    step = _solved_step(candidate)
    if step is None:
        return candidate
    fraction = min(1.0, candidate.budget_macs / cost.dense_macs)
    budget = round(cost.dense_macs * fraction ** (1 - step.share))
    return replace(candidate, budget_macs=max(budget, candidate.budget_macs, cost.min_macs))


def plan_before_step(candidate: Candidate, analysis: Analysis, evidence: Evidence) -> Plan:
    """The plan of a candidate's channels, so that the finished network meets its budget.

    A step with `cost(model, evidence)` changes what networks cost, and channels are cut to the budget by that; a step
    with a scalar saves the rest itself, so that fewer channels go.

    Raises:
        InfeasibleError, PlanError, UserError: as `pruners.make_plan`.
    """
    return make_plan(channel_candidate(candidate, analysis.cost), priced(candidate, analysis, evidence), evidence)


def priced(candidate: Candidate, analysis: Analysis, evidence: Evidence) -> Analysis:
    """The analysis with what networks cost after the candidate's step, where the step changes that."""
    if candidate.step is not None:
        step: Any = STEPS.build(candidate.step.name, dict(candidate.step.params))
        if hasattr(step, "cost"):
            return replace(analysis, cost=step.cost(analysis.cost, evidence))
    return analysis


def finish(
    candidate: Candidate,
    model: nn.Module,
    *,
    groups: Sequence[ChannelGroup],
    plan: Plan,
    dense: nn.Module,
    evidence: Evidence,
) -> nn.Module:
    """The network after the candidate's step, if it has one; at most `candidate.budget_macs` where the step is solved.

    Args:
        candidate: as proposed.
        model: what `slim(dense, groups, plan)` returned; may be changed in place.
        groups: of the dense network.
        plan: of `plan_before_step`.
        dense: read only.
        evidence: read only.

    Raises:
        PlanError: the step can't save enough.
    """
    if candidate.step is None:
        return model
    step = _solved_step(candidate)
    context: Mapping[str, Any] = {"groups": groups, "plan": plan, "dense": dense, "evidence": evidence}
    if step is None:
        plain: Any = STEPS.build(candidate.step.name, dict(candidate.step.params))
        finished: nn.Module = plain.apply(model, **context)
        return finished
    prepared = step.prepare(model, **context)
    value = _solve(prepared, step, budget_macs=candidate.budget_macs)
    network: nn.Module = prepared.network(value)
    return network


def _solved_step(candidate: Candidate) -> Any:
    """The candidate's step where its scalar is to be solved, else None."""
    if candidate.step is None:
        return None
    params = dict(candidate.step.params)
    step: Any = STEPS.build(candidate.step.name, params)
    scalar = getattr(step, "scalar", None)
    return None if scalar is None or scalar in params else step


def _solve(prepared: Any, step: Any, *, budget_macs: int) -> float:
    """The smallest value of the step's scalar, up to bisection, that meets the budget."""
    low, high = step.scalar_range
    if prepared.macs(low) <= budget_macs:
        return float(low)
    if (least := prepared.macs(high)) > budget_macs:
        raise PlanError(f"step {type(step).__name__} leaves {least} MACs at best, the budget is {budget_macs}")
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if prepared.macs(middle) <= budget_macs else (middle, high)
    return float(high)
