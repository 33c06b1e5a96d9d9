"""Every registered network keeps the contract: logits for any classes and channels, and the published names."""

import inspect

import pytest
import torch
from torch import nn

from evaluators.build import create_model, torchvision_names
from evaluators.models.cifar_resnet import ZeroPadShortcut
from evaluators.registries import MODELS
from evaluators.specs import ModelSpec
from spaces import UserError

SIZES = {"digits_resnet": 8}
CONVOLUTIONS = {"resnet20": 19, "resnet32": 31, "resnet44": 43, "resnet56": 55, "resnet110": 109}


def inputs(name: str, *, in_channels: int) -> torch.Tensor:
    size = SIZES.get(name, 32)
    return torch.randn(2, in_channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MODELS.names())
@pytest.mark.parametrize(("num_classes", "in_channels"), [(10, 3), (7, 1)])
def test_logits_have_one_column_per_class(name: str, num_classes: int, in_channels: int) -> None:
    model = create_model(ModelSpec(name=name), num_classes=num_classes, in_channels=in_channels)
    assert not model.training
    with torch.no_grad():
        assert model(inputs(name, in_channels=in_channels)).shape == (2, num_classes)


@pytest.mark.parametrize("name", MODELS.names())
def test_the_seed_alone_decides_fresh_weights(name: str) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (
        create_model(ModelSpec(name=name), num_classes=3, in_channels=3, seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", MODELS.names())
def test_it_is_described(name: str) -> None:
    entry = MODELS.entry(name)
    assert entry.paper
    assert entry.summary.endswith(".")


@pytest.mark.parametrize(("name", "number"), CONVOLUTIONS.items())
def test_depth_is_what_the_name_says(name: str, number: int) -> None:
    model = create_model(ModelSpec(name=name), num_classes=10, in_channels=3)
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == number


@pytest.mark.parametrize(
    ("name", "num_params"), [("resnet20", 269_722), ("resnet56", 853_018), ("resnet110", 1_727_962)]
)
def test_number_of_parameters_is_the_published_one(name: str, num_params: int) -> None:
    model = create_model(ModelSpec(name=name), num_classes=10, in_channels=3)
    assert sum(p.numel() for p in model.parameters()) == num_params


def test_the_state_dict_of_a_resnet_has_no_shortcut() -> None:
    keys = list(create_model(ModelSpec(name="resnet20"), num_classes=10, in_channels=3).state_dict())
    assert keys[:2] == ["conv1.weight", "bn1.weight"]
    assert keys[-2:] == ["linear.weight", "linear.bias"]
    assert not any("shortcut" in key for key in keys)


def test_vgg_has_torchvisions_feature_names() -> None:
    from torchvision.models import vgg16_bn

    ours = create_model(ModelSpec(name="cifar_vgg16_bn"), num_classes=10, in_channels=3).state_dict()
    with torch.device("meta"):
        theirs = vgg16_bn().features.state_dict(prefix="features.")
    assert {k: v.shape for k, v in ours.items() if k.startswith("features")} == {k: v.shape for k, v in theirs.items()}


def test_the_shortcut_is_padding_with_zeros() -> None:
    x = torch.randn(2, 3, 8, 6)
    expected = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3))
    assert torch.equal(ZeroPadShortcut(num_front=2, num_back=3)(x), expected)


def test_the_shortcut_shrinks_with_its_buffers_down_to_nothing() -> None:
    shortcut = ZeroPadShortcut(num_front=2, num_back=2)
    shortcut.front, shortcut.back = shortcut.front[:0], shortcut.back[:1]
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(shortcut(x), nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 1)))


@pytest.mark.parametrize("name", ["mobilenet_v2", "torchvision:resnet18", "googlenet"])
def test_torchvisions_networks_come_by_name(name: str) -> None:
    model = create_model(ModelSpec(name=name), num_classes=5, in_channels=3)
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5)


def test_registered_names_do_not_hide_torchvisions() -> None:
    assert not set(MODELS.names()) & set(torchvision_names())


def test_torchvisions_networks_refuse_grey_images() -> None:
    with pytest.raises(UserError, match=r"resnet18.*3 channels.*data\.params\.channels"):
        create_model(ModelSpec(name="resnet18"), num_classes=5, in_channels=1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ModelSpec(name="cifar-resnet"), "unknown model; did you mean 'cifar_resnet'"),
        (ModelSpec(name="torchvision:resnet19"), "did you mean 'torchvision:resnet1"),
        (ModelSpec(name="no_such_package.models:build"), "no module 'no_such_package'"),
        (ModelSpec(name="math:sinn"), "has no function 'sinn'"),
        (ModelSpec(name="builtins:dict"), "must return a torch.nn.Module, returned dict"),
        (ModelSpec(name="cifar_resnet", params={"depth": 21}), "must be 6n"),
        (ModelSpec(name="cifar_resnet", params={"deep": 20}), "no such parameter; did you mean 'depth'"),
        (ModelSpec(name="resnet20", params={"depth": 56}), "= 'depth': no such parameter"),
        (ModelSpec(name="digits_resnet", params={"num_classes": 4}), "no such parameter"),
    ],
)
def test_mistakes_are_named(spec: ModelSpec, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        create_model(spec, num_classes=10, in_channels=3)
    assert "\n" not in str(caught.value)


def test_every_factory_takes_keywords_only() -> None:
    for entry in MODELS:
        kinds = {p.kind for p in inspect.signature(entry.target).parameters.values()}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}
