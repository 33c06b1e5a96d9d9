"""The task of a process: specs made real, on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from evaluators.batches import Batches
from evaluators.build import build_model, create_model
from evaluators.load import load_splits, load_test
from evaluators.modes import logits_of
from evaluators.score import score_batch
from evaluators.specs import DataSpec, ModelSpec, TaskSpec
from evaluators.split import Split, Splits
from pruners.trace import evaluating
from spaces import UserError

__all__ = [
    "DataSpec",
    "ModelSpec",
    "Split",
    "Splits",
    "Task",
    "TaskSpec",
    "build_model",
    "create_model",
    "load_splits",
    "load_test",
    "resolve_device",
]


def resolve_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the first GPU, else the processor.

    Raises:
        UserError: torch does not know it, or the machine has not got it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError("device", name, "unknown device", choices=("auto", "cpu", "cuda")) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("device", name, "torch finds no CUDA device here; use auto or cpu")
    return device


class Task:
    """Data on the device, and everything that depends on it alone. One per process; nothing changes it."""

    def __init__(self, spec: TaskSpec, splits: Splits) -> None:
        self.spec = spec
        self.device = resolve_device(spec.device)
        self.precision = spec.precision
        self.train = splits.train.to(self.device)
        self.search = splits.search.to(self.device)
        self.num_classes = splits.num_classes
        self.class_names = splits.class_names
        self.in_channels = splits.in_channels
        self.image_size = splits.image_size
        self.example: Tensor = Batches(self.search).plain(slice(0, 1))[0]
        """One normalised image (1, C, H, W), float32."""
        self._teacher_logits: dict[nn.Module, Tensor] = {}

    def dense_model(self) -> nn.Module:
        """The network of the spec with its weights, on the device, in evaluation mode; a new one on each call.

        Raises:
            UserError: it can't be built, or does not turn `example` into one logit per class.
        """
        model = build_model(
            self.spec.model, num_classes=self.num_classes, in_channels=self.in_channels, seed=self.spec.seed
        ).to(self.device)
        name = self.spec.model.name
        try:
            with torch.no_grad():
                shape = tuple(logits_of(model(self.example)).shape)
        except (RuntimeError, TypeError, ValueError) as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(
                "model.name", name, f"fails on images of {tuple(self.example.shape[1:])}: {first}"
            ) from error
        if shape != (1, self.num_classes):
            rule = f"must return (1, {self.num_classes}) logits for one image, returned {shape}"
            raise UserError("model.name", name, rule)
        return model

    def loss(self, logits_BK: Tensor, labels_B: Tensor) -> Tensor:
        """Mean cross-entropy, in nats."""
        return functional.cross_entropy(logits_BK, labels_B)

    def batches(
        self, num_samples: int, *, batch_size: int = 128, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Samples of the train split, normalised and not augmented: what evidence is gathered on."""
        return Batches(self.train).sample(num_samples, batch_size=batch_size, generator=generator)

    def teacher_logits(self, teacher: nn.Module) -> Tensor:
        """Logits (N, K) of `teacher` on the whole train split without augmentation; computed once per teacher."""
        if teacher not in self._teacher_logits:
            with evaluating(teacher), torch.no_grad():
                batches = Batches(self.train).in_order(score_batch(self.device))
                parts = [logits_of(teacher(x)).float() for x, _ in batches]
            self._teacher_logits = {teacher: torch.cat(parts)}
        return self._teacher_logits[teacher]
