"""What must hold of every cut of every network; used by the contract, property and integration tests."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners import Analysis, Plan, analyse, count, slim
from pruners.proof import masked_tensors, run
from pruners.shares import half
from spaces import ChannelGroup


def snapshot(model: nn.Module) -> tuple[Any, ...]:
    """What of a network could be disturbed: tensors, gradients, flags, hooks, attributes."""
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()]
    tensors = [(n, id(t), t._version, t.requires_grad) for n, t in [*model.named_parameters(), *model.named_buffers()]]
    flags = [module.training for module in model.modules()]
    return hooks, tensors, flags, str(model), [p.grad for p in model.parameters()]


def randomise(model: nn.Module, seed: int = 3) -> nn.Module:
    """Statistics and scales as after training, so that a channel put in the wrong place shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.dim() == 1 and tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.data.copy_(noise + 0.5 if name.endswith(("weight", "running_var")) else noise - 0.5)
    return model


def analysed(model: nn.Module, example: Any) -> Analysis:
    """An analysis that leaves the network as it was."""
    before = snapshot(model)
    analysis = analyse(model, example)
    assert snapshot(model) == before
    return analysis


def storages(model: nn.Module) -> set[int]:
    tensors = [*model.parameters(), *model.buffers()]
    return {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}


def assert_right(model: nn.Module, example: Any, analysis: Analysis, plan: Plan) -> nn.Module:
    """The slim network answers like the masked dense one, shares nothing and costs what the model said."""
    before = snapshot(model)
    small = slim(model, analysis.groups, plan)
    assert snapshot(model) == before
    assert not storages(model) & storages(small)
    assert_same_outputs(model, small, example, analysis.groups, plan)
    kept, counts = plan.counts(analysis.groups), count(small, example)
    assert int(analysis.cost.macs(kept)[0]) == counts.macs
    assert int(analysis.cost.params(kept)[0]) == counts.params
    assert int(analysis.cost.thop(kept)[0]) == counts.thop_macs
    assert sum(layer.macs for layer in analysis.cost.layers(kept)) == counts.macs
    assert sum(layer.params for layer in analysis.cost.layers(kept)) == counts.params
    return small


def assert_same_outputs(
    model: nn.Module, small: nn.Module, example: Any, groups: Sequence[ChannelGroup], plan: Plan
) -> None:
    inputs = example if isinstance(example, tuple) else (example,)
    wide = nn.Module.double(slim(model, [], Plan(kept=())))  # float64: a wrong place shows, rounding does not
    inputs = tuple(x.double() for x in inputs)
    expected = run(wide, inputs, masked_tensors(wide, groups, plan))
    got = run(slim(wide, groups, plan), inputs)
    assert len(expected) == len(got)
    for one, two in zip(expected, got, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-9)


def assert_trains(small: nn.Module, example: Any) -> None:
    """A step in train mode on a batch of two reaches every parameter that the dense network's output uses."""
    inputs = example if isinstance(example, tuple) else (example,)
    small.train()
    outputs = run_with_gradients(small, tuple(torch.cat([x, x + 0.1]) for x in inputs))
    sum(out.square().sum() for out in outputs).backward()  # type: ignore[union-attr]
    gradients = [p.grad for p in small.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


def run_with_gradients(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    from pruners.trace import outputs_in

    return [out for out in outputs_in(model(*inputs)) if out.requires_grad]


def halved(model: nn.Module, example: Any) -> tuple[Analysis, nn.Module]:
    """Analyse, cut half of every group, check everything."""
    analysis = analysed(model, example)
    small = assert_right(model, example, analysis, half(analysis.groups))
    assert_trains(small, example)
    return analysis, small
