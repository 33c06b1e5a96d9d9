"""The candidate's own vector is what happens when it meets the budget."""

import numpy as np

from pruners import make_plan
from spaces import Candidate, Choice
from tests.oracle.toy import chain


def test_offsets_are_the_vector() -> None:
    _, analysis, evidence = chain([[1.0] * 2] * 8, [[1.0] * 8] * 4, [[1.0] * 4])
    first, second = (group.name for group in analysis.groups)
    candidate = Candidate(
        budget_macs=2 * 2 + 2 * 3 + 3,
        allocator=Choice.of("explicit"),
        method=Choice.of("l1"),
        offsets=((first, 0.75), (second, 0.25)),
    )
    np.testing.assert_array_equal(make_plan(candidate, analysis, evidence).counts(analysis.groups), [2, 3])
