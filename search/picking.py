"""Which network of a finished search answers a budget."""

import math
from dataclasses import replace

from search.flow import SearchResult
from search.front import Front, Measured
from search.targets import LatencyTarget, Target, format_macs
from spaces import Candidate, UserError


def pick(result: SearchResult, target_flops: str, target_latency: str | None = None) -> Measured:
    """The most accurate network of the front that meets its budgets; of a range, its upper end.

    Below the smallest member it is that one, which `at_budget` makes smaller.

    Raises:
        UserError: a budget can't be read, the front is empty, or no member meets both budgets.
    """
    if target_latency is not None:
        return _pick_both(result, target_flops, target_latency)
    if not result.front.members:
        raise UserError("run", result.folder.name, "its front is empty; `paretoprune search --resume` goes on with it")
    budget = Target.parse(target_flops, key="--target-flops").high.macs(result.dense.macs)
    return result.front.best_under(budget) or result.front.members[0]


def at_budget(result: SearchResult, member: Measured, target_flops: str) -> Candidate:
    """The member's decisions at a budget that it does not meet itself; its candidate where it does.

    The same allocator, offsets and method are solved for fewer MACs, so that a search answers for any budget.
    """
    budget = Target.parse(target_flops, key="--target-flops").high.macs(result.dense.macs)
    return member.candidate if member.macs <= budget else replace(member.candidate, budget_macs=budget)


def _pick_both(result: SearchResult, target_flops: str, target_latency: str) -> Measured:
    """The most accurate network within both budgets, of all that were measured like the front's members."""
    dense, key = result.dense, "--target-latency"
    if dense.latency_ms is None:
        raise UserError(key, target_latency, "this run has no latencies; it had neither a table nor a target_latency")
    limit_ms = LatencyTarget.parse(target_latency, key=key).milliseconds(dense.latency_ms)
    macs = Target.parse(target_flops, key="--target-flops").high.macs(dense.macs)
    # a slower network may dominate a faster one that alone is within the budget
    fidelity = result.front.fidelity
    front = Front.of(result.measured, dense_macs=dense.macs, fidelity=fidelity, with_latency=True)
    best = front.best_under(macs, limit_ms=limit_ms)
    if best is None:
        least = min((item.latency_ms for item in front.members if item.macs <= macs), default=math.inf)
        found = f"takes {least:.3g} ms" if least < math.inf else "is larger still"
        rule = f"with at most {format_macs(macs)} MACs: the fastest network that this run found {found}"
        raise UserError(key, f"{target_latency} ({limit_ms:.3g} ms)", rule)
    return best
