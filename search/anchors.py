"""Known good points of a space, which are tried first: its own defaults, and every allocator's vector as offsets."""

from collections.abc import Iterator, Sequence

import numpy as np

from pruners import ALLOCATORS, Analysis, Evidence
from pruners.decide import fitted_widths, solved_ratios
from search.plugin_spaces import published
from spaces import Candidate, Choice, PlanError
from spaces.space import Space


def anchors(space: Space, analysis: Analysis, evidence: Evidence) -> Iterator[Candidate]:
    """Candidates to try first, most telling first.

    Where a space has one allocator and an offset for every group, the others' vectors are points of it too: offsets
    from the space's own allocator, cut off where they are larger than the space allows. Each comes at another budget in
    turn, so that few anchors already show every allocator and every budget.
    """
    yield from space.anchors()
    if not takes_vectors(space, analysis):
        return
    plain = next(space.anchors())
    others = [plugin.default_choice() for plugin in published(ALLOCATORS)]
    others = [choice for choice in others if choice.name != plain.allocator.name]
    budgets = space.anchor_budgets()
    for turn in range(len(budgets)):
        for index, allocator in enumerate(others):
            budget = budgets[(index + turn) % len(budgets)]
            yield from _as_offsets(plain, allocator, budget, space, analysis, evidence)


def takes_vectors(space: Space, analysis: Analysis) -> bool:
    """Whether any vector of removed fractions is a point of the space, as far as its offsets reach."""
    return len(space.allocators) == 1 and set(space.places) == {group.name for group in analysis.groups}


def _as_offsets(
    plain: Candidate, allocator: Choice, budget_macs: int, space: Space, analysis: Analysis, evidence: Evidence
) -> Sequence[Candidate]:
    """The allocator's vector at a budget as a candidate of the space's own allocator; none where it has no vector."""
    here = Candidate(budget_macs=budget_macs, allocator=plain.allocator, method=plain.method)
    there = Candidate(budget_macs=budget_macs, allocator=allocator, method=plain.method)
    try:
        kept = fitted_widths(there, analysis, evidence)
        base = solved_ratios(here, analysis, evidence)
    except PlanError:
        return ()
    difference = 1 - kept / np.array([group.width for group in analysis.groups]) - base
    # Only differences between groups count: the budget decides their common part.
    middle = (difference.min() + difference.max()) / 2
    offsets = np.clip(difference - middle, -space.offset, space.offset)
    named = {group.name: float(offset) for group, offset in zip(analysis.groups, offsets, strict=True)}
    return (
        Candidate(
            budget_macs=budget_macs,
            allocator=plain.allocator,
            method=plain.method,
            step=plain.step,
            offsets=tuple(sorted(named.items())),
            rounds=plain.rounds,
        ),
    )
