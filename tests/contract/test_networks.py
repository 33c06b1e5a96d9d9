"""Every pattern of code around layers: the cut network answers like the masked one, costs what was said, and trains."""

import copy
import json

import pytest
import torch
from torch import nn

from evaluators.registries import MODELS
from pruners import Analysis, Plan, analyse, resize, slim
from pruners.shares import half
from pruners.structure import rebuild_structure, structure_of
from pruners.tracer import named_tensors
from tests.contract import more_networks, small_networks  # noqa: F401
from tests.contract.cutting import assert_right, assert_trains, halved, randomise
from tests.contract.small_networks import PATTERNS

WIDTHS = {
    "plain": (8, 12),
    "bias_and_prelu": (8, 6),
    "flatten": (6, 10),
    "residual": (8, 6, 10),
    "zero_padded_shortcut": (4,),
    "concatenated_zeros": (6,),
    "dense_block": (4, 3, 3, 3, 8),
    "shared_module": (8,),
    "shared_between_parents": (8,),
    "tied_weights": (9,),
    "functional_convolution": (8,),
    "slices": (8, 6),
    "channel_slices": (5, 6, 4),
    "halves": (6, 8),
    "channel_shuffle": (2, 6, 6, 6),
    "gated_halves": (8, 6),
    "squeeze_excite": (8, 4),
    "spatial_attention": (8,),
    "depthwise": (8, 6),
    "depthwise_multiplier": (6, 5),
    "grouped": (2, 3, 3),
    "transposed": (8, 6),
    "transposed_depthwise": (8, 6),
    "one_dimension": (10, 6),
    "three_dimensions": (6, 8),
    "group_norm": (4, 6),
    "instance_norm": (8, 6),
    "layer_norm": (16,),
    "self_attention": (16,),
    "token_mixing": (8,),
    "layer_scale_and_drop_path": (8, 6),
    "upsample_and_skip": (6, 10, 8),
    "pixel_shuffle": (4, 6),
    "several_outputs": (8,),
    "features_are_the_output": (8,),
    "unused_layer": (8,),
    "two_inputs": (6,),
    "weight_norm": (8, 10, 6),
    "weight_standardisation": (8, 10),
    "subclass_of_convolution": (8, 6),
    "frozen_batch_norm": (8, 6),
    "local_response_norm": (6,),
    "channel_attention_over_neighbours": (6,),
    "selective_kernels": (8, 6, 4),
    "in_place_everywhere": (8,),
    "global_max_and_mean": (8,),
    "einsum": (8, 6),
    "recurrent": (8,),
    "nothing_to_cut": (),
    "borders_by_attributes": (4, 4, 4, 3, 6, 5, 4),
    "pointless_number": (4, 6),
    "tied_decoder": (6,),
    "attention_heads": (6, 4, 16),
    "attention_heads_step_by_step": (6, 4, 16),
    "attention_heads_of_the_width": (16,),
}
"""Widths of the groups that every pattern must offer, in channels that go together."""

REASONS = {
    "zero_padded_shortcut": ("first.0", "its cut breaks the forward pass"),
    "layer_norm": ("embed", "native_layer_norm takes statistics over the channels"),
    "self_attention": ("attention.in_proj_weight", "a product of activations"),
    "unused_layer": ("auxiliary.0", "takes no part in this forward pass"),
    "weight_norm": ("0.0", "weights are normalised over this axis"),
    "channel_attention_over_neighbours": ("stem.0", "all of its channels depend on each other"),
    "recurrent": ("cell.weight_ih_l0", ""),
    "tied_decoder": ("code", "only the tied weight that computes it reads it"),
    "attention_heads_of_the_width": ("attention.qkv", "whole attention heads: its cut breaks the forward pass"),
}

TIED = [("tied_weights", "first", "second"), ("tied_decoder", "code", "decode")]


def network(name: str) -> small_networks.Network:
    torch.manual_seed(0)
    model, example = PATTERNS[name]()
    return randomise(model.eval()), example


@pytest.mark.parametrize("name", WIDTHS)
def test_half_of_every_group_can_be_cut(name: str) -> None:
    analysis, _ = halved(*network(name))
    assert tuple(group.width for group in analysis.groups) == WIDTHS[name]


@pytest.mark.parametrize("name", PATTERNS)
def test_every_weight_is_in_a_group_or_reported(name: str) -> None:
    model, example = network(name)
    analysis = analyse(model, example)
    known = {piece.tensor for group in analysis.groups for piece in group.slices}
    reported = {layer for reason in analysis.dense for layer in reason.layers}
    for tensor, parameter in model.named_parameters():
        if parameter.dim() > 1 and "weight" in tensor:
            assert tensor in known or tensor.removesuffix(".weight") in reported, tensor


@pytest.mark.parametrize("name", REASONS)
def test_what_stays_dense_says_why(name: str) -> None:
    layer, reason = REASONS[name]
    analysis = analyse(*network(name))
    assert [d for d in analysis.dense if d.name == layer and reason in d.reason], analysis.dense


@pytest.mark.parametrize("name", ["borders_by_attributes", "attention_heads", "residual"])
def test_numbers_of_modules_are_written_down(name: str) -> None:
    """Shapes alone do not rebuild a network whose code splits by numbers of its own."""
    model, example = network(name)
    analysis = analyse(model, example)
    small = slim(model, analysis.groups, half(analysis.groups))
    structure = json.loads(json.dumps(structure_of(small, model)))
    counted = {piece.tensor for group in analysis.groups for piece in group.records}
    assert set(structure["numbers"]) == counted
    shapes = {tensor: tuple(value.shape) for tensor, value in named_tensors(small)}
    rebuilt = resize(rebuild_structure(network(name)[0], structure), shapes)
    rebuilt.load_state_dict(small.state_dict())
    torch.testing.assert_close(rebuilt(example), small(example))


@pytest.mark.parametrize(("name", "one", "two"), TIED)
def test_a_parameter_of_two_layers_stays_one(name: str, one: str, two: str) -> None:
    model, example = network(name)
    small = halved(model, example)[1]
    assert small.get_parameter(f"{one}.weight") is small.get_parameter(f"{two}.weight")
    assert small.get_parameter(f"{one}.weight").shape != model.get_parameter(f"{one}.weight").shape
    rebuilt = resize(network(name)[0], {tensor: tuple(value.shape) for tensor, value in named_tensors(small)})
    assert rebuilt.get_parameter(f"{one}.weight") is rebuilt.get_parameter(f"{two}.weight")
    rebuilt.load_state_dict(small.state_dict())
    torch.testing.assert_close(rebuilt.eval()(example), small.eval()(example))


@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "einsum"])
def test_one_channel_is_enough(name: str) -> None:
    """Of an einsum PyTorch makes an element-wise product once one channel is left, which counters count as nothing."""
    model, example = network(name)
    analysis = analyse(model, example)
    assert_right(model, example, analysis, Plan.of({group.name: [group.width - 1] for group in analysis.groups}))


@pytest.mark.parametrize("name", ["resnet20"])
def test_parameter_free_shortcuts_can_be_cut_everywhere(name: str) -> None:
    model = randomise(MODELS.entry(name).target(num_classes=10, in_channels=3).eval())
    example = torch.randn(1, 3, 32, 32)
    analysis, small = halved(model, example)
    assert [reason.reason for reason in analysis.dense] == ["network output"]
    cut = {piece.tensor for group in analysis.groups for piece in group.slices}
    assert {n for n, p in model.named_parameters() if p.dim() == 4} <= cut
    assert small(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_a_failing_forward_pass_leaves_the_network_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(7, 3)).train()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError):
        analyse(model, torch.randn(1, 3, 8, 8))
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_mode_of_every_module_is_kept() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8).eval(), nn.Conv2d(8, 4, 3)).train()
    model[1].eval()
    small = slim(model, analyse(model, torch.randn(1, 3, 8, 8)).groups, Plan.of({"0": [0, 3]}))
    assert [module.training for module in model] == [True, False, True]
    assert [module.training for module in small] == [True, False, True]


def test_two_analyses_at_once_do_not_meet() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(name: str) -> Analysis:
        return analyse(*network(name))

    names = ["residual", "depthwise", "dense_block", "flatten"] * 3
    alone = {name: work(name) for name in set(names)}
    with ThreadPoolExecutor(4) as pool:
        for name, found in zip(names, pool.map(work, names), strict=True):
            assert found.groups == alone[name].groups


def test_a_slim_network_compiles_exports_and_copies() -> None:
    model, example = network("residual")
    analysis, small = halved(model, example)
    small = small.eval()
    expected = small(example)
    torch.testing.assert_close(copy.deepcopy(small)(example), expected)
    torch.testing.assert_close(torch.export.export(small, (example,)).module()(example), expected)
    assert_trains(small, example)
    assert analysis.groups
