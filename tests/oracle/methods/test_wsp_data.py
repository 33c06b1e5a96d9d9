"""Activations and gradients of one image, worked out by hand, in the intersection of both sides."""

import torch

from pruners import METHODS, analyse, gather_evidence
from tests.oracle.toy import Chain


def test_the_order_follows_activations_and_gradients() -> None:
    """One input of 1; the first layer's outputs are its weights, and the loss reads them through the second's."""
    outputs, readers = [[4.0], [1.0], [2.0], [3.0]], [[2.0, 1.0, 4.0, 3.0]]
    model = Chain([torch.tensor(outputs), torch.tensor(readers)]).eval()
    analysis = analyse(model, torch.ones(1, 1))
    evidence = gather_evidence(
        model,
        analysis,
        needs=METHODS.entry("wsp_data").target.needs,
        batches=[(torch.ones(1, 1), torch.zeros(1, dtype=torch.int64))],
        loss=lambda output, labels: output.sum(),
    )
    (group,) = analysis.groups
    assert evidence.activation(group).tolist() == [4, 1, 2, 3]
    assert evidence.activation_gradient(group).tolist() == [2, 1, 4, 3]
    # ranks (3, 0, 1, 2) and (1, 0, 3, 2): the larger ones are 3, 0, 3, 2; of the two threes 0 and 2 both sum to 4
    assert METHODS.build("wsp_data").score(group, evidence).argsort().tolist() == [1, 3, 0, 2]
    forward = METHODS.build("wsp_data", {"side": "forward"}).score(group, evidence)
    assert forward.argsort().tolist() == [1, 2, 3, 0]
