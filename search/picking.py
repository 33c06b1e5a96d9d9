"""Which network of a finished search answers a budget."""

import math
from collections.abc import Sequence
from dataclasses import replace

from evaluators.worker import Evaluator
from search.flow import SearchResult
from search.front import Front, Measured
from search.prepare import Prepared, Say, quiet
from search.recipes import final_ladder
from search.targets import LatencyTarget, Target, format_macs
from spaces import UserError

_MOST_ALIKE = 3
"""Candidates beside the front's members that are measured at a budget: each takes as long as it did in the search."""


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
) -> Measured:
    """The best network for a budget, whether it was searched or not.

    The decisions of some rivals at exactly this budget (the same offsets, allocator and method solved for these MACs)
    are measured like the front's members: its neighbours, and those that were within a standard error of the best. Of
    all answers the most accurate ones are told apart by luck alone where they are within a standard error; among those
    at the whole budget the one wins that is best in the mean of its ranks by loss and by parameters. At equal MACs the
    parameters that a network keeps rank it as well as its accuracy before training does.

    So a search answers for any budget, between its members, below the smallest, and up to the end of its range. Beyond,
    and where members were trained after it, they stay as they are.

    Args:
        result: the search.
        prepared: its data, dense network, groups and evidence.
        member: what `pick` found for this budget.
        target_flops: the budget; of a range, its upper end.
        say: hears when networks are measured.

    Returns:
        The trial whose decisions are taken, with its candidate and evaluation at this budget.

    Raises:
        UserError: the budget can't be read or is out of reach, or the front is empty.
    """
    least = prepared.analysis.cost.min_macs
    target = Target.parse(target_flops)
    budget = target.resolve(dense_macs=result.dense.macs, min_macs=least, key="--target-flops").high_macs
    within = member.macs <= budget
    if budget > prepared.space.high_macs or (within and member.evaluation.test_accuracy is not None):
        return member
    num_images = len(prepared.splits.search)
    measured = [item for item in result.measured if item.evaluation.fidelity == result.front.fidelity]
    measured = [item for item in measured if item.evaluation.status == "complete" and item.macs <= budget]
    found = [item for item in measured if item.candidate.budget_macs == budget]
    found += [member] if within and member not in found else []
    rivals = _rivals(result.front, measured, budget, num_images)
    if rivals:
        say(f"measuring {len(rivals)} rivals at this budget")
        ladder = final_ladder(prepared.config)
        evaluator = Evaluator(prepared.spec, prepared.splits, prepared.analysis, prepared.evidence, ladder)
    for rival in rivals:
        candidate = replace(rival.candidate, budget_macs=budget)
        evaluation = evaluator.evaluate(candidate, fidelity=result.front.fidelity, seed=prepared.config.seed)
        if evaluation.status == "complete":
            found.append(Measured(number=rival.number, candidate=candidate, evaluation=evaluation))
    if not found:
        raise UserError("--target-flops", target_flops, "no decision of this run leads to a network that small")
    alike = alike_to_best(found, num_images)
    spent = max(item.candidate.budget_macs for item in alike)
    return by_loss_and_params([item for item in alike if item.candidate.budget_macs == spent])[0]


def _rivals(front: Front, measured: Sequence[Measured], budget_macs: int, num_images: int) -> list[Measured]:
    """Whose decisions may be the best ones at a budget, of those solved for another: see `best_at`.

    `measured` are the trials within the budget, measured like the front's members on so many images.
    """
    others = [item for item in front.members if item.candidate.budget_macs != budget_macs]
    above = [item for item in others if item.macs > budget_macs]
    below = [item for item in others if item.macs < budget_macs]
    neighbours = [*below[-2:], *above[:3]]
    known = {item.number for item in neighbours}
    alike = by_loss_and_params(alike_to_best(measured, num_images))
    further = [item for item in alike if item.candidate.budget_macs != budget_macs and item.number not in known]
    return [*neighbours, *further[:_MOST_ALIKE]]


def alike_to_best(items: Sequence[Measured], num_images: int) -> list[Measured]:
    """The most accurate one and those that its accuracy's standard error does not tell from it."""
    best = max((item.accuracy for item in items), default=math.nan)
    margin = math.sqrt(best * (1 - best) / num_images)
    return [item for item in items if item.accuracy >= best - margin]


def by_loss_and_params(items: Sequence[Measured]) -> list[Measured]:
    """Best first: the mean of the ranks by loss (lower is better) and by parameters (more are); then by accuracy."""
    losses = sorted(item.evaluation.loss for item in items)
    params = sorted((item.evaluation.params for item in items), reverse=True)

    def place(item: Measured) -> tuple[int, float]:
        return losses.index(item.evaluation.loss) + params.index(item.evaluation.params), -item.accuracy

    return sorted(items, key=place)


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
