"""Hand arithmetic on three channels and two samples."""

import torch

from pruners import METHODS, gather_evidence
from tests.oracle.data import LABELS, SAMPLES, mean_output, three_channels
from tests.oracle.toy import chain


def test_absolute_value_of_each_sample() -> None:
    group, evidence = three_channels()
    assert METHODS.build("taylor_activation").score(group, evidence).tolist() == [1.5, 1, 2]


def test_absolute_value_of_the_mean() -> None:
    model, analysis, _ = chain([[1.0], [2.0]], [[3.0, -1.0]])
    model.layers[0].register_forward_hook(lambda _, args, out: out)  # a user's hook stays where it is
    needs = frozenset({"activations"})
    samples = torch.cat([SAMPLES, -SAMPLES])
    labels = torch.cat([LABELS, LABELS])
    evidence = gather_evidence(model, analysis, needs=needs, batches=[(samples, labels)], loss=mean_output)
    # a0 of x = 1, -2, -1, 2 is 1, 0, 0, 2: mean of 3 a0 is 9 / 4; of -2 a1 likewise
    score = METHODS.build("taylor_activation", {"average": "batch"}).score(analysis.groups[0], evidence)
    assert score.tolist() == [9 / 4, 6 / 4]
    assert len(model.layers[0]._forward_hooks) == 1
