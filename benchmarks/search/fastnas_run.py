"""FastNAS of NVIDIA Model Optimizer on one network; runs in an environment of its own (see modelopt-requirements.txt).

    PYTHON -m benchmarks.search.fastnas_run JOB

JOB is a folder that `benchmarks.search.fastnas` writes: job.json and job.safetensors (the dense weights, normalised
calibration images, normalised images and labels of the search split). Added to it, for each budget, are the weights of
the subnet, and answer.json. FastNAS measures how much each layer's width costs, once; every budget is answered from
that. A score is the accuracy on the search split after batch norms are calibrated, which Model Optimizer does itself.
"""

import copy
import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from evaluators.build import create_model
from evaluators.specs import ModelSpec

SCORE_BATCH = 250


def main(folder: Path) -> None:
    """Search for every budget of the job."""
    started = time.perf_counter()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / "job.safetensors")
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    import modelopt.torch.prune  # noqa: F401  its import counts as the rest of the start does

    answer: dict[str, Any] = {"version": importlib.metadata.version("nvidia-modelopt"), "budgets": {}}
    before = time.perf_counter() - started
    slowest, num_scores = 0.0, 0
    for budget in job["budgets"]:
        subnet, found = search(budget, job, tensors, folder / "map.pth")
        # Whoever has one budget pays for the start, the sensitivity map and one selection; later ones find the map.
        slowest, num_scores = max(slowest, found["seconds"]), max(num_scores, found["scores"])
        answer["budgets"][str(budget)] = {
            "seconds": before + slowest,
            "evaluations": num_scores,
            "note": found["note"],
        }
        if subnet is not None:
            save_file(plain_state(subnet), folder / f"subnet-{budget}.safetensors")
        print(budget, answer["budgets"][str(budget)], flush=True)
    (folder / "answer.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def search(
    budget: float, job: dict[str, Any], tensors: dict[str, Tensor], checkpoint: Path
) -> tuple[nn.Module | None, dict[str, Any]]:
    """The subnet of one budget, a fraction of the dense network's MACs; None where FastNAS finds none."""
    import modelopt.torch.prune as mtp

    started = time.perf_counter()
    num_scores = 0
    images, labels = tensors["images"], tensors["labels"]

    def score(model: nn.Module) -> float:
        nonlocal num_scores
        num_scores += 1
        model.eval()  # calibrates the batch norms of a converted model
        with torch.inference_mode():
            parts = zip(images.split(SCORE_BATCH), labels.split(SCORE_BATCH), strict=True)
            right = sum(int((model(x).argmax(dim=1) == y).sum()) for x, y in parts)
        return right / len(labels)

    model = dense_model(job, tensors)
    settings = {
        "data_loader": list(tensors["calibration"].split(job["calibration_batch"])),
        "collect_func": lambda batch: batch,
        "score_func": score,
        "checkpoint": str(checkpoint),
        "verbose": False,
    }
    note = ""
    found: nn.Module | None = None
    try:
        found, _ = mtp.prune(
            model,
            mode=[("fastnas", rules(job["divisor"]))],
            constraints={"flops": f"{100 * budget}%"},
            dummy_input=images[:1],
            config=settings,
        )
    except (AssertionError, ValueError, RuntimeError) as error:  # what another tool fails with is a result
        note = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return found, {"seconds": time.perf_counter() - started, "scores": num_scores, "note": note}


def dense_model(job: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    """A new copy of the dense network with its weights."""
    spec = ModelSpec(name=job["model"]["name"], params=job["model"]["params"])
    model = create_model(spec, num_classes=job["num_classes"], in_channels=tensors["images"].shape[1])
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    return model


def rules(divisor: int) -> Any:
    """FastNAS's default rules with widths that are multiples of `divisor`; the published 32 leaves small networks 3."""
    import modelopt.torch.prune as mtp

    config = copy.deepcopy(mtp.fastnas.FastNASConfig().model_dump())
    for kind in config.values():
        for options in kind.values() if isinstance(kind, dict) else ():
            for key in ("channel_divisor", "feature_divisor"):
                if isinstance(options, dict) and key in options:
                    options[key] = divisor
    return config


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The subnet's tensors, without what Model Optimizer keeps beside them."""
    return {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
