"""FastNAS of NVIDIA Model Optimizer: it searches in an environment of its own, and its subnets are read back as plans.

Source: modelopt.torch.prune.fastnas. One sensitivity per layer and width, all other layers whole; then one threshold is
bisected to the budget.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.search.networks import Chosen
from benchmarks.search.setting import Budget, Setting, none_found
from evaluators.batches import Batches
from pruners.evidence import batch_norm_weights
from spaces import ChannelGroup, PlanError, UserError

CALIBRATION_IMAGES, CALIBRATION_BATCH = 1024, 128
ROOT = Path(__file__).parents[2]
NAME = "fastnas"


def fastnas(setting: Setting, budgets: Sequence[Budget]) -> Iterator[Chosen]:
    """Its networks; each charged with the start, the sensitivity map and one selection.

    Raises:
        UserError: there is no interpreter with Model Optimizer, or it fails as a whole.
    """
    from safetensors.torch import load_file

    job = setting.out / "fastnas"
    answer = run_job(setting, budgets, job)
    dense = {name: value.cpu() for name, value in setting.prepared.model.state_dict().items()}
    for budget in budgets:
        found = answer["budgets"][str(budget.fraction)]
        facts = {
            "seconds": found["seconds"],
            "cores": setting.threads,
            "evaluations": found["evaluations"],
            "version": f"nvidia-modelopt {answer['version']} (channel divisor {setting.divisor})",
        }
        path = job / f"subnet-{budget.fraction}.safetensors"
        if not path.exists():
            yield none_found(NAME, budget, found["note"], **facts)
            continue
        subnet = load_file(path)
        kept = {group.name: kept_channels(group, dense, subnet) for group in setting.prepared.analysis.groups}
        chosen = setting.chosen(NAME, budget, kept, **facts)
        if chosen.params != (params := sum(v.numel() for n, v in subnet.items() if is_parameter(n))):
            raise PlanError(f"FastNAS's subnet has {params} parameters, the channels read off it give {chosen.params}")
        yield chosen


def run_job(setting: Setting, budgets: Sequence[Budget], folder: Path) -> dict[str, Any]:
    """Write the job, run it in its environment, read the answer."""
    if not setting.modelopt_python.exists():
        rule = "there is no such interpreter; benchmarks/README.md says how to make its environment"
        raise UserError("--modelopt-python", str(setting.modelopt_python), rule)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [*folder.glob("subnet-*.safetensors"), *folder.glob("map.pth"), *folder.glob("answer.json")]:
        stale.unlink()
    write_job(setting, budgets, folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(setting.threads)}
    command = [str(setting.modelopt_python), "-m", "benchmarks.search.fastnas_run", str(folder.resolve())]
    with (folder / "log").open("w", encoding="utf-8") as log:
        ended = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    if ended.returncode != 0:
        raise UserError("--modelopt-python", str(setting.modelopt_python), f"FastNAS failed, see {folder / 'log'}")
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    return answer


def write_job(setting: Setting, budgets: Sequence[Budget], folder: Path) -> None:
    """Weights, images and numbers; nothing of the test split."""
    from safetensors.torch import save_file

    task, model = setting.prepared.task, setting.prepared.model
    generator = torch.Generator().manual_seed(task.spec.seed)
    calibration = task.batches(CALIBRATION_IMAGES, batch_size=CALIBRATION_BATCH, generator=generator)
    images, labels = Batches(task.search).plain(slice(0, None))
    tensors = {
        **{f"model.{name}": value for name, value in model.state_dict().items()},
        "calibration": torch.cat([batch for batch, _ in calibration]),
        "images": images,
        "labels": labels,
    }
    save_file({name: value.cpu().contiguous().clone() for name, value in tensors.items()}, folder / "job.safetensors")
    spec = task.spec.model
    job = {
        "model": {"name": spec.name, "params": dict(spec.params)},
        "num_classes": task.num_classes,
        "budgets": [budget.fraction for budget in budgets],
        "divisor": setting.divisor,
        "calibration_batch": CALIBRATION_BATCH,
        "threads": setting.threads,
        "seed": task.spec.seed,
    }
    (folder / "job.json").write_text(json.dumps(job, indent=1) + "\n", encoding="utf-8")


def kept_channels(group: ChannelGroup, dense: Mapping[str, Tensor], subnet: Mapping[str, Tensor]) -> list[int]:
    """The dense channels that a subnet kept of a group.

    FastNAS sorts channels before it cuts, and the order is not in its answer; but weight and bias of a channel's batch
    norm stay as they were, and name it.

    Raises:
        PlanError: the group has no batch norm, or a channel of the subnet is no channel of the dense network.
    """
    producer = group.with_role("producer")[0].tensor
    if subnet[producer].shape[0] == dense[producer].shape[0]:
        return list(range(group.width))
    scales = batch_norm_weights(group)
    if not scales:
        raise PlanError(f"{group.name} has no batch norm, so FastNAS's channels can't be told apart")
    before, after = (signatures(tensors, scales[0].tensor) for tensors in (dense, subnet))
    left = {index: before[place[0]] for index, place in enumerate(scales[0].positions)}
    kept = []
    for signature in after:
        index = next((index for index, known in left.items() if known == signature), None)
        if index is None:
            raise PlanError(f"{group.name}: a channel of FastNAS's subnet is none of the dense network")
        kept.append(index)
        del left[index]
    return sorted(kept)


def signatures(tensors: Mapping[str, Tensor], weight: str) -> list[tuple[float, float]]:
    """Weight and bias of each channel of a batch norm."""
    bias = weight.removesuffix("weight") + "bias"
    return list(zip(tensors[weight].tolist(), tensors[bias].tolist(), strict=True))


def is_parameter(name: str) -> bool:
    """Whether a tensor of a state dict is trained."""
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
