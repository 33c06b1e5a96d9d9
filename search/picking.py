"""Which network of a finished search answers a budget."""

import math
from dataclasses import dataclass, replace

from evaluators.worker import Evaluator
from search.flow import SearchResult
from search.front import Front, Measured
from search.prepare import Prepared, Say, quiet
from search.recipes import final_ladder
from search.targets import LatencyTarget, Target, format_macs
from spaces import Candidate, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A candidate for a budget, the trial whose decisions it takes, and its accuracy on the search split."""

    candidate: Candidate
    number: int
    accuracy: float


def pick(result: SearchResult, target_flops: str, target_latency: str | None = None) -> Measured:
    """The most accurate network of the front that meets its budgets; of a range, its upper end.

    Below the smallest member it is that one, which `best_at` makes smaller.

    Raises:
        UserError: a budget can't be read, the front is empty, or no member meets both budgets.
    """
    if target_latency is not None:
        return _pick_both(result, target_flops, target_latency)
    if not result.front.members:
        raise UserError("run", result.folder.name, "its front is empty; `paretoprune search --resume` goes on with it")
    budget = Target.parse(target_flops, key="--target-flops").high.macs(result.dense.macs)
    return result.front.best_under(budget) or result.front.members[0]


def best_at(
    result: SearchResult, prepared: Prepared, *, member: Measured, target_flops: str, say: Say = quiet
) -> Answer:
    """The best network for a budget, whether it was searched or not.

    A neighbour's decisions at exactly this budget (the same offsets, allocator and method solved for these MACs),
    measured like the front's members, unless the front's best member within the budget is more accurate by more than a
    standard error: it was picked for its luck too, and MACs that may be spent help a training. So a search answers for
    any budget, between its members, below the smallest, and up to the end of its range. Beyond, and where members were
    trained after it, they stay as they are.

    Args:
        result: the search.
        prepared: its data, dense network, groups and evidence.
        member: what `pick` found for this budget.
        target_flops: the budget; of a range, its upper end.
        say: hears when networks are measured.

    Raises:
        UserError: the budget can't be read or is out of reach, or the front is empty.
    """
    least = prepared.analysis.cost.min_macs
    target = Target.parse(target_flops)
    budget = target.resolve(dense_macs=result.dense.macs, min_macs=least, key="--target-flops").high_macs
    within = member.macs <= budget
    known = Answer(candidate=member.candidate, number=member.number, accuracy=member.accuracy)
    if within and member.evaluation.test_accuracy is not None:
        return known
    rivals = _neighbours(result.front, budget) if budget <= prepared.space.high_macs else []
    if not rivals:
        return known
    say("measuring the front's neighbours at this budget")
    evaluator = Evaluator(
        prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, final_ladder(prepared.config)
    )
    found = [known] if within else []
    for rival in rivals:
        candidate = replace(rival.candidate, budget_macs=budget)
        evaluation = evaluator.evaluate(candidate, fidelity=result.front.fidelity, seed=prepared.config.seed)
        if evaluation.status == "complete":
            found.append(Answer(candidate=candidate, number=rival.number, accuracy=evaluation.accuracy))
    if not found:
        raise UserError("--target-flops", target_flops, "no decision of this run leads to a network that small")
    best = max(found, key=lambda answer: answer.accuracy).accuracy
    margin = math.sqrt(best * (1 - best) / len(evaluator.task.search))
    near = [answer for answer in found if answer.accuracy >= best - margin]
    return max(near, key=lambda answer: (answer.candidate.budget_macs, answer.accuracy))


def _neighbours(front: Front, budget_macs: int) -> list[Measured]:
    """The next members on both sides of a budget, of those that were solved for another one."""
    others = [item for item in front.members if item.candidate.budget_macs != budget_macs]
    above = [item for item in others if item.macs > budget_macs]
    below = [item for item in others if item.macs < budget_macs]
    return [*below[-2:], *above[:3]]


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
