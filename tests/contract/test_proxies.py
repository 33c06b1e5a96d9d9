"""Every proxy keeps the contract: a repeatable score, a declared cost, nothing changed but the network it is given."""

import copy
from dataclasses import fields

import pytest
import torch
from torch import nn

from evaluators.build import create_model
from evaluators.proxy import ProxySpec
from evaluators.registries import PROXIES
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.task import Task, load_splits
from spaces import Categorical, Float, Integer, UserError

SPEC = TaskSpec(
    model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 4}),
    data=DataSpec(name="digits", params={"num_train": 200, "num_search": 100}),
    device="cpu",
)
SMALL = {"recalibrate": {"num_samples": 100, "batch_size": 50}, "finetune": {"steps": 3, "batch_size": 32}}


@pytest.fixture(scope="module")
def task() -> Task:
    return Task(SPEC, load_splits(SPEC))


def model() -> nn.Module:
    return create_model(SPEC.model, num_classes=10, in_channels=1)


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(network.state_dict())


@pytest.mark.parametrize("name", PROXIES.names())
def test_the_generator_alone_decides_the_score(name: str, task: Task) -> None:
    proxy = ProxySpec(name=name, params=SMALL[name]).build()
    before = torch.random.get_rng_state()
    first, again, other = (
        proxy.run(model(), task, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.loss != other.loss
    assert first.num_samples == 100
    assert 0 <= first.accuracy <= 1
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", PROXIES.names())
def test_the_teacher_is_left_as_it_was(name: str, task: Task) -> None:
    params = {**SMALL[name], "distill_weight": 0.5} if name == "finetune" else SMALL[name]
    teacher = model()
    teacher.train()
    before = state(teacher)
    ProxySpec(name=name, params=params).build().run(
        model(), task, generator=torch.Generator().manual_seed(0), teacher=teacher
    )
    assert teacher.training
    assert all(torch.equal(value, teacher.state_dict()[key]) for key, value in before.items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize("name", PROXIES.names())
def test_domains_are_those_of_its_fields_and_hold_the_defaults(name: str) -> None:
    entry = PROXIES.entry(name)
    defaults = {field.name: field.default for field in fields(entry.target)}  # type: ignore[arg-type]
    assert set(entry.domains) == set(defaults)
    for parameter, domain in entry.domains.items():
        assert isinstance(domain, Float | Integer | Categorical)
        assert defaults[parameter] is None or domain.contains(defaults[parameter])


@pytest.mark.parametrize("name", PROXIES.names())
def test_cost_grows_with_the_search_split(name: str) -> None:
    proxy = ProxySpec(name=name, params=SMALL[name]).build()
    small, large = (proxy.cost(num_train=200, num_search=number) for number in (100, 300))
    assert large.num_forward - small.num_forward == 200
    assert large.num_backward == small.num_backward
    assert small.num_equivalent >= small.num_forward > 100


def test_costs_are_what_is_run(task: Task) -> None:
    counted = {True: 0, False: 0}
    network = model()
    network.register_forward_pre_hook(
        lambda module, images: counted.update(
            {torch.is_grad_enabled(): counted[torch.is_grad_enabled()] + len(images[0])}
        )
    )
    proxy = ProxySpec(name="finetune", params={"steps": 4, "batch_size": 32, "num_samples": 64}).build()
    proxy.run(network, task, generator=torch.Generator().manual_seed(0))
    cost = proxy.cost(num_train=200, num_search=100)
    assert (cost.num_backward, cost.num_forward) == (counted[True], counted[False]) == (128, 64 + 100)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("finetun", {}, "unknown proxy; did you mean 'finetune'"),
        ("finetune", {"lr": 0}, r"lr = 0: must be in 1e-05\.\.1"),
        ("finetune", {"steps": 5, "epochs": 1.0}, "either epochs or steps"),
        ("recalibrate", {"samples": 5}, "no such hyper-parameter"),
    ],
)
def test_mistakes_are_named(name: str, params: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ProxySpec(name=name, params=params).build()
