"""A slim network is an ordinary module: it trains, is copied, exported, compiled, saved and loaded."""

import copy
import io
import shutil

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluators.build import create_model
from evaluators.specs import ModelSpec
from pruners import analyse, slim
from pruners.shares import half

SIZES = {"resnet20": 32, "mobilenet_v3_small": 64}


def settled(network: nn.Module, images: Tensor) -> nn.Module:
    """The network with statistics of `images`: without, its logits are near zero, and anything is close to them."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    answers(network, images)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return network.eval()


@pytest.fixture(scope="module", params=SIZES)
def made(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module, Tensor]:
    """The slim half of a network, that of another with other weights, and three images."""
    size = SIZES[request.param]
    images = torch.randn(8, 3, size, size, generator=torch.Generator().manual_seed(0))
    spec = ModelSpec(name=request.param)
    first, second = (create_model(spec, num_classes=10, in_channels=3, seed=seed) for seed in (0, 1))
    groups = analyse(first, images[:1]).groups
    assert groups
    small, other = (settled(slim(network, groups, half(groups)), images) for network in (first, second))
    assert answers(small, images).std(dim=0).mean() > 1e-3, "logits alike for all images test nothing"
    return small, other, images[:3]


@pytest.fixture
def network(made: tuple[nn.Module, nn.Module, Tensor]) -> nn.Module:
    """The slim network, for one test alone."""
    return copy.deepcopy(made[0])


@pytest.fixture
def images(made: tuple[nn.Module, nn.Module, Tensor]) -> Tensor:
    return made[2]


def answers(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(images)
    return logits


def test_a_step_moves_every_parameter_and_statistic(network: nn.Module, images: Tensor) -> None:
    before = copy.deepcopy(network.state_dict())
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    functional.cross_entropy(network(images), torch.tensor([0, 1, 2])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.shape == parameter.shape
        assert parameter.grad.isfinite().all(), name
    optimiser.step()
    after = network.state_dict()
    still = [name for name, value in before.items() if torch.equal(value, after[name])]
    unmoved = [name for name, parameter in network.named_parameters() if not parameter.grad.any()]  # type: ignore[union-attr]
    assert still == unmoved
    assert len(unmoved) < 0.1 * len(before), "few layers may be dead in a network without training"
    assert answers(network.eval(), images).isfinite().all()


def test_a_copy_is_equal_and_shares_nothing(made: tuple[nn.Module, nn.Module, Tensor]) -> None:
    small, _, images = made
    other = copy.deepcopy(small)
    expected = answers(small, images)
    assert torch.equal(answers(other, images), expected)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    assert torch.equal(answers(small, images), expected)


def test_an_export_takes_any_batch(network: nn.Module, images: Tensor) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (images,), dynamic_shapes=({0: batch},))
    for count in (1, 3, 5):
        some = images[torch.arange(count) % len(images)]
        torch.testing.assert_close(answers(program.module(), some), answers(network, some))


def test_it_compiles_in_one_piece(network: nn.Module, images: Tensor) -> None:
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(answers(compiled, images), answers(network, images))


@pytest.mark.matrix
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="needs a C++ compiler")
def test_it_compiles_to_machine_code(network: nn.Module, images: Tensor) -> None:
    compiled = torch.compile(network, fullgraph=True)
    torch.testing.assert_close(answers(compiled, images), answers(network, images), rtol=1e-4, atol=1e-4)


def test_weights_go_through_a_file(made: tuple[nn.Module, nn.Module, Tensor]) -> None:
    small, other, images = made
    file = io.BytesIO()
    torch.save(small.state_dict(), file)
    file.seek(0)
    assert not torch.allclose(answers(other, images), answers(small, images))
    other.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert torch.equal(answers(other, images), answers(small, images))
