"""Hand arithmetic: half of every group leaves a quarter of the inner products."""

import numpy as np

from pruners import ALLOCATORS, make_plan
from spaces import Candidate, Choice
from tests.oracle.toy import chain


def test_the_same_share_everywhere() -> None:
    _, analysis, evidence = chain([[1.0] * 2] * 8, [[1.0] * 8] * 4, [[1.0] * 4])
    ratios = ALLOCATORS.build("uniform", {"ratio": 0.25}).ratios(analysis.groups, evidence)
    assert ratios.tolist() == [0.25, 0.25]


def test_solved_for_a_budget() -> None:
    _, analysis, evidence = chain([[1.0] * 2] * 8, [[1.0] * 8] * 4, [[1.0] * 4])
    candidate = Candidate(budget_macs=2 * 4 + 4 * 2 + 2, allocator=Choice.of("uniform"), method=Choice.of("l1"))
    plan = make_plan(candidate, analysis, evidence)
    np.testing.assert_array_equal(plan.counts(analysis.groups), [4, 2])
