"""Published networks, cut in half at a small image size: same answers as masked, both counters, training, formats."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pruners import Plan, analyse, gather_evidence, resize, slim
from pruners.shares import half
from tests.contract.cutting import assert_right, halved, randomise

NETWORKS = ["densenet121", "mobilenet_v2", "mobilenet_v3_small", "resnet18"]
"""All families are in tests/contract/test_matrix.py; here one also looks that the dense network is left alone."""


def published(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None).eval(), torch.randn(1, 3, 32, 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network_can_be_halved(name: str) -> None:
    analysis, small = halved(*published(name))
    assert analysis.groups
    counts = half(analysis.groups).counts(analysis.groups)
    assert int(analysis.cost.macs(counts)[0]) < analysis.cost.dense_macs
    assert sum(p.numel() for p in small.parameters()) < analysis.cost.dense_params


def test_activation_bytes_are_what_the_layers_write() -> None:
    model, example = published("mobilenet_v2")
    analysis = analyse(model, example)
    plan = half(analysis.groups)
    written = 0

    def add(module: nn.Module, inputs: object, out: torch.Tensor) -> None:
        nonlocal written
        written += 4 * out.numel()

    small = slim(model, analysis.groups, plan)
    for module in small.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    small(example)
    assert int(analysis.cost.activation_bytes(plan.counts(analysis.groups))[0]) == written


def test_an_empty_network_of_the_cut_shapes_takes_the_cut_weights() -> None:
    model, example = published("mobilenet_v3_small")
    analysis = analyse(model, example)
    small = slim(model, analysis.groups, half(analysis.groups))
    tensors = {**dict(small.named_parameters()), **dict(small.named_buffers())}
    rebuilt = resize(copy.deepcopy(model), {name: tuple(t.shape) for name, t in tensors.items()})
    rebuilt.load_state_dict(small.state_dict())
    torch.testing.assert_close(rebuilt(example), small(example))
    assert str(rebuilt) == str(small)


def test_channels_last_stays_channels_last() -> None:
    model, example = published("resnet18")
    model = model.to(memory_format=torch.channels_last)
    analysis = analyse(model, example)
    small = slim(model, analysis.groups, half(analysis.groups))
    assert small.layer3[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_frozen_parameters_and_modes_go_along() -> None:
    model, example = published("resnet18")
    model.layer1.requires_grad_(False)
    model.train()
    model.layer1.eval()
    small = slim(model, analyse(model, example).groups, Plan(kept=()))
    assert [m.training for m in small.modules()] == [m.training for m in model.modules()]
    flags = [(n, p.requires_grad) for n, p in small.named_parameters()]
    assert flags == [(n, p.requires_grad) for n, p in model.named_parameters()]


def test_a_plan_survives_json_and_an_analysis_pickling() -> None:
    import pickle

    model, example = published("resnet18")
    analysis = pickle.loads(pickle.dumps(analyse(model, example)))
    plan = Plan.from_json(half(analysis.groups).to_json())
    assert_right(randomise(model), example, analysis, plan)
    assert gather_evidence(model, analysis).tensors


def test_batches_of_candidates_cost_what_each_costs() -> None:
    model, example = published("densenet121")
    analysis = analyse(model, example)
    widths = [group.width + 1 for group in analysis.groups]
    kept = np.random.default_rng(0).integers(1, widths, size=(5000, len(widths)))
    for figure in (analysis.cost.macs, analysis.cost.params, analysis.cost.thop, analysis.cost.activation_bytes):
        batch = figure(kept)
        assert batch[::999].tolist() == [int(figure(row)[0]) for row in kept[::999]]


def test_onnx_gives_the_same_logits(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model, example = published("mobilenet_v2")
    analysis, small = halved(model, example)
    small.eval()
    path = str(tmp_path / "small.onnx")
    torch.onnx.export(small, (example,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {session.get_inputs()[0].name: example.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(got), small(example).detach(), rtol=1e-3, atol=1e-4)
    assert analysis.groups
