"""The growing factors step by step, by hand."""

import pytest
import torch

from evaluators.growing import Growing, Growth
from evaluators.registries import REGIMES
from spaces import UserError
from tests.oracle.regimes.settings import gradients, setting
from tests.oracle.toy import chain

ROWS = [[3, 4], [1, 0], [0, 2]]


def test_factor_times_weight_joins_the_gradient_of_what_goes() -> None:
    """Channel 1 goes. Raises of .25 after steps 1, 3, 5, up to .6: the penalty is half the factor times 1^2."""
    model, analysis, _ = chain(ROWS, [[1, 1, 1]])
    (group,) = analysis.groups
    hook = Growing(model, setting([group], kept={group.name: (0, 2)}), Growth(interval=2, delta=0.25, limit=0.6))
    seen = []
    for step in range(8):
        penalty, found = gradients(model, hook, step=step)
        seen.append(penalty)
        assert found["layers.0.weight"].tolist() == [[0, 0], [pytest.approx(2 * penalty), 0], [0, 0]]
        hook.after_step(model, step)
    assert seen == pytest.approx([0, 0, 0.125, 0.125, 0.25, 0.25, 0.3, 0.3])


def test_separated_groups_grow_no_further() -> None:
    """Kept filters have the mean L1 norm (7 + 2) / 2; a thousandth of it is 0.0045."""
    for norm, factor in ((0.0046, 1.0), (0.0044, 0.0)):
        model, analysis, _ = chain([[3, 4], [norm, 0], [0, 2]], [[1, 1, 1]])
        (group,) = analysis.groups
        hook = Growing(model, setting([group], kept={group.name: (0, 2)}), Growth(interval=1, delta=1, limit=1))
        hook.after_step(model, 0)
        assert hook.factors[group.name].tolist() == [0, factor, 0]


def test_second_variant_picks_late() -> None:
    """All rise by .005 to .01, the channels are picked then, and those that stay get the recovering factor."""
    model, analysis, _ = chain(ROWS, [[1, 1, 1]])
    (group,) = analysis.groups
    growth = Growth(interval=1, delta=0.5, limit=1, pick_delta=0.005, pick_limit=0.01, recover=-0.1)
    hook = Growing(model, setting([group], kept={group.name: (0, 2)}), growth)
    seen = []
    for step in range(4):
        seen.append([round(x, 4) for x in hook.factors[group.name].tolist()])
        assert (hook.going is None) == (step < 2)
        hook.after_step(model, step)
    assert seen == [[0, 0, 0], [0.005] * 3, [-0.1, 0.01, -0.1], [-0.1, 0.51, -0.1]]
    assert growth.num_steps == 4


def test_published_schedule_and_the_fitted_one() -> None:
    assert REGIMES.build("greg", {"delta": 1e-4}).growth(90_000).num_steps == 50_000
    with pytest.raises(UserError, match="takes 50000 steps"):
        REGIMES.build("greg", {"delta": 1e-4}).growth(1000)
    assert REGIMES.build("greg", {"delta": 1e-4, "variant": 2}).growth(90_000).num_steps == 5000 + 49_500
    for variant in (1, 2):
        for num_steps in (1, 7, 100, 1001):
            growth = REGIMES.build("greg", {"variant": variant}).growth(num_steps)
            assert growth.num_steps <= max(0.75 * num_steps, 2)


def test_half_the_square_is_the_published_gradient() -> None:
    model, analysis, _ = chain(ROWS, [[1, 1, 1]])
    (group,) = analysis.groups
    hook = Growing(model, setting([group], kept={group.name: (1,)}), Growth(interval=1, delta=0.5, limit=1))
    hook.after_step(model, 0)
    penalty, found = gradients(model, hook)
    assert penalty == 0.5 * 0.5 * (25 + 4)
    assert torch.equal(found["layers.0.weight"], torch.tensor([[1.5, 2], [0, 0], [0, 1]], dtype=torch.float64))
