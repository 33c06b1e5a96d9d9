"""The training loop, scores and recalibration on real networks and digits."""

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from evaluators.batches import Batches, endless_indices
from evaluators.recipe import Recipe
from evaluators.score import accuracy, recalibrate
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.split import Split
from evaluators.task import Task, load_splits
from evaluators.train import NonFiniteLossError, Trainer, distillation, finetune


def make_task(**params: object) -> Task:
    spec = TaskSpec(
        model=ModelSpec(name="digits_resnet", params={"num_blocks": 1, "width": 4}),
        data=DataSpec(name="digits", params={"num_train": 300, "num_search": 100, **params}),
        device="cpu",
    )
    return Task(spec, load_splits(spec))


@pytest.fixture(scope="module")
def task() -> Task:
    return make_task()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(task: Task, recipe: Recipe, *, seed: int = 0, teacher: nn.Module | None = None) -> nn.Module:
    model = task.dense_model()
    finetune(model, task, recipe=recipe, generator=seeded(seed), teacher=teacher)
    return model


def equal(first: nn.Module, second: nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[key]) for key, value in first.state_dict().items())


def test_it_learns_digits(task: Task) -> None:
    model = task.dense_model()
    before = accuracy(model, task.search)
    steps: list[tuple[int, float]] = []
    recipe = Recipe(epochs=12, batch_size=32, lr=0.1, warmup=0.1)
    log = finetune(model, task, recipe=recipe, generator=seeded(), on_step=lambda n, loss: steps.append((n, loss)))
    after = accuracy(model, task.search)
    assert before.accuracy < 0.3
    assert after.accuracy > 0.8
    assert after.loss < before.loss
    assert log.num_steps == len(steps) == 12 * (300 // 32)
    assert steps[0] == (1, log.first_loss)
    assert log.last_loss < log.first_loss / 2


def test_the_generator_alone_decides_the_weights(task: Task) -> None:
    recipe = Recipe(steps=4, batch_size=16)
    assert equal(trained(task, recipe), trained(task, recipe))
    assert not equal(trained(task, recipe), trained(task, recipe, seed=1))


def test_dropout_follows_the_generator_and_the_global_state_stays(task: Task) -> None:
    def once(global_seed: int) -> nn.Module:
        torch.manual_seed(global_seed)
        before = torch.random.get_rng_state()
        model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
        nn.init.zeros_(model[2].weight)
        nn.init.zeros_(model[2].bias)
        middle = torch.random.get_rng_state()
        finetune(model, task, recipe=Recipe(steps=3, batch_size=16), generator=seeded())
        assert torch.equal(torch.random.get_rng_state(), middle)
        assert not torch.equal(before, middle)
        return model

    assert equal(once(1), once(2))


def test_an_exploding_loss_is_reported(task: Task) -> None:
    with pytest.raises(NonFiniteLossError, match="not finite at step"):
        trained(task, Recipe(steps=40, batch_size=16, lr=1e6, schedule="constant"))


def test_the_teacher_pulls_towards_its_answers(task: Task) -> None:
    teacher = trained(task, Recipe(epochs=8, batch_size=32, lr=0.1))
    recipe = Recipe(epochs=2, batch_size=32, lr=0.02, distill_weight=1.0)
    pupil, plain = trained(task, recipe, teacher=teacher), trained(task, Recipe(epochs=2, batch_size=32, lr=0.02))
    images, _ = Batches(task.search).plain(slice(0, 100))
    with torch.no_grad():
        distances = [float(distillation(m(images), teacher(images), 1.0)) for m in (pupil, plain)]
    assert distances[0] < distances[1]


def test_distillation_is_the_formula() -> None:
    student, teacher, t = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]]), 2.0
    p = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))]  # softmax of (1.5, -0.5)
    q = [1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-0.5))]  # softmax of (0.5, 1)
    expected = t * t * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert float(distillation(student, teacher, t)) == pytest.approx(expected, rel=1e-6)


def test_looked_up_teacher_logits_are_those_of_the_batch() -> None:
    task = make_task(augment="none")
    teacher = task.dense_model()
    images, _ = Batches(task.train).plain(torch.arange(50))
    with torch.no_grad():
        assert torch.allclose(task.teacher_logits(teacher)[:50], teacher(images), atol=1e-5)
    assert task.teacher_logits(teacher) is task.teacher_logits(teacher)
    recipe = Recipe(epochs=1, batch_size=32, distill_weight=0.5)
    assert equal(trained(task, recipe, teacher=teacher), trained(task, recipe, teacher=teacher))


class PushScalesDown:
    """Network slimming's penalty (arXiv 1708.06519), and a clamp after every step."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.steps: list[int] = []

    def penalty(self, model: nn.Module, step: int) -> torch.Tensor:
        return self.weight * sum((m.weight.abs().sum() for m in self._norms(model)), torch.zeros(()))

    def after_step(self, model: nn.Module, step: int) -> None:
        self.steps.append(step)
        with torch.no_grad():
            for norm in self._norms(model):
                norm.weight.clamp_(min=0)

    @staticmethod
    def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
        return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_hooks_take_part_in_the_training(task: Task) -> None:
    def scales(weight: float) -> torch.Tensor:
        model, hook = task.dense_model(), PushScalesDown(weight)
        recipe = Recipe(steps=12, batch_size=32, lr=0.1)
        Trainer(model=model, task=task, recipe=recipe, hooks=(hook,)).run(generator=seeded())
        assert hook.steps == list(range(12))
        return torch.cat([m.weight.detach() for m in model.modules() if isinstance(m, nn.BatchNorm2d)])

    assert scales(0.1).max() < scales(0.0).min()
    assert scales(1.0).min() == 0


def test_batch_norms_and_biases_do_not_decay(task: Task) -> None:
    model = task.dense_model()
    groups = Trainer(model=model, task=task, recipe=Recipe(steps=1))._optimiser().param_groups
    assert [group["weight_decay"] for group in groups] == [5e-4, 0.0]
    assert all(p.ndim == 1 for p in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_bfloat16_trains_float32_weights(task: Task) -> None:
    model = trained(task, Recipe(steps=3, batch_size=32, precision="bfloat16"))
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert math.isfinite(accuracy(model, task.search).loss)


def test_accuracy_is_counted_by_hand_and_the_model_is_given_back(task: Task) -> None:
    model = task.dense_model()
    model.get_submodule("layer1").train()
    flags = {name: module.training for name, module in model.named_modules()}
    score = accuracy(model, task.search, batch_size=33)
    assert {name: module.training for name, module in model.named_modules()} == flags
    images, labels = Batches(task.search).plain(slice(0, 100))
    with torch.no_grad():
        logits = model.eval()(images)
    assert score.accuracy == int((logits.argmax(1) == labels).sum()) / 100
    assert score.loss == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)


def test_recalibration_is_the_mean_over_batches_and_touches_nothing_else(task: Task) -> None:
    model = nn.Sequential(nn.BatchNorm2d(1, momentum=0.3), nn.Dropout(0.9), nn.Flatten(), nn.Linear(64, 10)).train()
    model[1].eval()
    weights = copy.deepcopy(dict(model.named_parameters()))
    recalibrate(model, task.train, num_samples=300, batch_size=100, generator=seeded())
    images, _ = Batches(task.train).plain(slice(0, 300))
    assert float(model[0].running_mean) == pytest.approx(float(images.mean()), abs=1e-5)
    assert float(model[0].running_var) == pytest.approx(float(images.var()), rel=1e-2)
    assert model[0].momentum == 0.3
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_recalibration_gives_back_momentum_and_flags_after_an_error(task: Task) -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Linear(3, 3)).train()  # the linear layer does not fit
    with pytest.raises(RuntimeError):
        recalibrate(model, task.train, generator=seeded())
    assert model[0].momentum == 0.1
    assert all(module.training for module in model.modules())


def test_recalibration_mends_a_broken_network(task: Task) -> None:
    model = trained(task, Recipe(epochs=6, batch_size=32, lr=0.1))
    good = accuracy(model, task.search).accuracy
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.add_(3.0)  # type: ignore[union-attr]
    broken = accuracy(model, task.search).accuracy
    recalibrate(model, task.train, generator=seeded())
    assert broken < 0.5 < good - 0.05 < accuracy(model, task.search).accuracy


def test_augmentation_shifts_mirrors_and_pads_with_black() -> None:
    image = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4)
    split = Split(
        images=image.repeat(200, 1, 1, 1), labels=torch.zeros(200).long(), mean=(0.0,), std=(1.0,), augment="crop_flip"
    )
    batch, _ = Batches(split).augmented(torch.arange(200), generator=seeded())
    seen = {tuple(x.mul(255).round().int().flatten().tolist()) for x in batch}
    padded = functional.pad(image, (1, 1, 1, 1))
    crops = [padded[0, 0, r : r + 4, c : c + 4] for r in range(3) for c in range(3)]
    assert seen == {tuple(part.flatten().tolist()) for crop in crops for part in (crop, crop.flip(1))}


def test_every_epoch_shows_every_sample_once() -> None:
    batches = endless_indices(10, batch_size=4, generator=seeded())
    first, second = ([next(batches), next(batches)] for _ in range(2))
    assert len(torch.cat(first).unique()) == 8
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert len(next(endless_indices(3, batch_size=128, generator=seeded()))) == 3


def test_learning_rates_rise_and_fall() -> None:
    recipe = Recipe(steps=10, warmup=0.2)
    factors = [recipe.lr_factor(step, 10) for step in range(10)]
    assert factors[:3] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]
    assert all(a > b for a, b in itertools.pairwise(factors[2:]))
    assert factors[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "give either epochs or steps"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"epochs": 1, "lr": -1}, "lr must be positive and finite, got -1"),
        ({"epochs": 1, "schedule": "step"}, "schedule must be cosine or constant, got 'step'"),
    ],
)
def test_mistakes_in_a_recipe_are_named(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**params)
