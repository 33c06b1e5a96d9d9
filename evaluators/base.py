"""The dense network where the user brings no weights: trained once, kept in the run's folder."""

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch

from evaluators.recipe import Recipe
from evaluators.specs import TaskSpec
from evaluators.split import Splits
from evaluators.task import Task
from evaluators.train import OnStep, finetune


def train_base(
    spec: TaskSpec, splits: Splits, *, recipe: Recipe, folder: Path, on_step: OnStep | None = None
) -> TaskSpec:
    """The same spec with weights: a file in `folder`, trained now unless it is there from an earlier call.

    The file's name holds a digest of the network, the data, the recipe and the seed, so that none is mistaken for
    another.

    Args:
        spec: names no weights.
        splits: of its data.
        recipe: of the training.
        folder: made where it is missing.
        on_step: for progress.

    Raises:
        UserError: the network can't be built or does not fit the data.
        NonFiniteLossError: the training diverged.
    """
    path = folder / f"base-{_digest(spec, recipe)}.safetensors"
    if not path.exists():
        task = Task(spec, splits)
        model = task.dense_model()
        generator = torch.Generator().manual_seed(spec.seed)
        finetune(model, task, recipe=recipe, generator=generator, on_step=on_step)
        _save(model.state_dict(), path)
    return replace(spec, model=replace(spec.model, weights=str(path)))


def _save(state: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()}, part)
    os.replace(part, path)


def _digest(spec: TaskSpec, recipe: Recipe) -> str:
    data = spec.to_dict()
    data.pop("device")
    text = json.dumps([data, asdict(recipe)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
