"""The L1 norm of batch-norm weights and its subgradient, by hand."""

import pytest
import torch

from evaluators.registries import REGIMES
from pruners import analyse
from spaces import UserError
from tests.oracle.methods.test_bn_scale import Sum
from tests.oracle.regimes.settings import gradients, setting
from tests.oracle.toy import chain


def test_signs_of_the_scales() -> None:
    """|1| + |-2| + |.5| + |3| + |0| + |-.5| = 7."""
    model = Sum().eval()
    groups = analyse(model, torch.ones(1, 1, 4, 4)).groups
    (hook,) = REGIMES.build("slimming", {"strength": 0.01}).hooks(model, setting(groups))
    penalty, found = gradients(model, hook)
    assert penalty == pytest.approx(0.07)
    assert torch.allclose(found["bn1.weight"], torch.tensor([0.01, -0.01, 0.01]))
    assert torch.allclose(found["bn2.weight"], torch.tensor([0.01, 0.0, -0.01]))
    others = [value for name, value in found.items() if not name.startswith("bn") or name.endswith("bias")]
    assert all(bool((value == 0).all()) for value in others)


def test_a_network_without_batch_norms_is_refused() -> None:
    model, analysis, _ = chain([[3, 4], [0, 1]], [[1, 1]])
    with pytest.raises(UserError, match="no channel that may be cut has a batch norm"):
        REGIMES.build("slimming").hooks(model, setting(analysis.groups))
