"""Known good points of a space, which are tried first: its own defaults, and every allocator's vector as offsets."""

from collections.abc import Iterator
from dataclasses import replace

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
            found = _as_offsets(replace(plain, budget_macs=budget), allocator, space, analysis, evidence)
            if found is not None:
                yield found


def takes_vectors(space: Space, analysis: Analysis) -> bool:
    """Whether any vector of removed fractions is a point of the space, as far as its offsets reach."""
    return len(space.allocators) == 1 and set(space.places) == {group.name for group in analysis.groups}


def _as_offsets(
    plain: Candidate, allocator: Choice, space: Space, analysis: Analysis, evidence: Evidence
) -> Candidate | None:
    """The allocator's vector at the budget of `plain` as offsets from its own; None where it has no vector there."""
    try:
        kept = fitted_widths(replace(plain, allocator=allocator), analysis, evidence)
        base = solved_ratios(plain, analysis, evidence)
    except PlanError:
        return None
    difference = 1 - kept / np.array([group.width for group in analysis.groups]) - base
    # Only differences between groups count: the budget decides their common part.
    middle = (difference.min() + difference.max()) / 2
    offsets = np.clip(difference - middle, -space.offset, space.offset)
    named = {group.name: float(offset) for group, offset in zip(analysis.groups, offsets, strict=True)}
    return replace(plain, offsets=tuple(sorted(named.items())))
