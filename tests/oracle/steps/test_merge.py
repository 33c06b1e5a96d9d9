"""Equal filters merge without a trace; unlike ones are left alone."""

import torch
from torch import nn

from pruners import STEPS, Plan, analyse, gather_evidence, slim


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten())
    model.append(nn.Linear(4 * 4 * 4, 2))
    return model.eval()


def test_exact_for_equal_filters() -> None:
    model = network()
    with torch.no_grad():
        for tensor in (model[0].weight, model[0].bias):
            tensor[4], tensor[5] = tensor[1], tensor[1]
    x = torch.randn(2, 3, 8, 8)
    analysis = analyse(model, x[:1])
    evidence = gather_evidence(model, analysis)
    plan = Plan.of({analysis.groups[0].name: [0, 1, 2, 3]})
    small = slim(model, analysis.groups, plan)
    assert not torch.allclose(small(x), model(x), atol=1e-3)
    merged = STEPS.build("merge", {"radius": 0.1}).apply(
        small, groups=analysis.groups, plan=plan, dense=model, evidence=evidence
    )
    torch.testing.assert_close(merged(x), model(x))


def test_columns_by_hand_and_the_radius() -> None:
    model = nn.Sequential(nn.Linear(1, 4, bias=False), nn.Linear(4, 1, bias=False)).eval()
    model[0].weight = nn.Parameter(torch.tensor([[1.0], [5.0], [1.2], [-9.0]]))
    model[1].weight = nn.Parameter(torch.tensor([[10.0, 20.0, 30.0, 40.0]]))
    analysis = analyse(model, torch.ones(1, 1))
    evidence = gather_evidence(model, analysis)
    plan = Plan.of({analysis.groups[0].name: [0, 1]})
    small = slim(model, analysis.groups, plan)
    step = STEPS.build("merge", {"radius": 0.5})
    # 1.2 lies 0.2 from 1, within 0.6; -9 lies 10 from 1, beyond 4.5
    assert step.heirs(analysis.groups[0], (0, 1), evidence) == {2: 0}
    merged = step.apply(small, groups=analysis.groups, plan=plan, dense=model, evidence=evidence)
    assert merged[1].weight.tolist() == [[40.0, 20.0]]
