"""Surgery beside Torch-Pruning: time to analyse, time per candidate, MACs of the half network, and who is right.

    pip install -r benchmarks/surgery/requirements.txt
    python -m benchmarks.surgery.against_torch_pruning [NETWORK ...]

Before the cut, half of the channels of every proven group are set to zero in all layers that compute, scale or read
them. Both tools remove the channels of smallest L2 norm, so a right cut of half takes exactly these and the outputs
stay as they were. Times are processor time of one thread, which other work on the machine hardly changes; candidates
of both tools are cut in turns, and the fastest of each counts.

A candidate costs Torch-Pruning a copy of the network, a graph of that copy (its graph belongs to one network's modules)
and a step; it costs us the choice of channels from known scores and one `slim`.
"""

import copy
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from evaluators.registries import MODELS
from pruners import METHODS, Analysis, Plan, analyse, count_macs, gather_evidence, slim
from pruners.decide import choose
from pruners.shares import half
from pruners.slim import removed_positions
from pruners.tracer import named_tensors

RESULTS = Path(__file__).parent / "results"
NETWORKS = ["resnet50", "vgg16_bn", "densenet121", "mobilenet_v2", "regnet_y_400mf", "convnext_tiny", "resnet56"]
REPEATS = 5
NUM_VECTORS = 100_000


def network(name: str) -> tuple[nn.Module, Tensor]:
    """A network with random weights and statistics, and an image of its usual size."""
    torch.manual_seed(0)
    if name == "resnet56":
        model, size = MODELS.entry(name).target(num_classes=10, in_channels=3), 32
    else:
        model, size = torchvision.models.get_model(name, weights=None), 224
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval(), torch.randn(1, 3, size, size)


def emptied(model: nn.Module, analysis: Analysis, plan: Plan) -> nn.Module:
    """A copy whose channels outside the plan are zero wherever they are computed, scaled or read."""
    copied = copy.deepcopy(model)
    tensors = dict(named_tensors(copied))
    for (name, axis), positions in removed_positions(analysis.groups, plan).items():
        if not name.endswith("running_var"):
            tensors[name].data.index_fill_(axis, torch.tensor(positions), 0.0)
    return copied


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one run, and its answer."""
    started = time.process_time()
    answer = work()
    return time.process_time() - started, answer


def torch_pruning(model: nn.Module, example: Tensor) -> tuple[float, Callable[[], nn.Module]]:
    """Seconds that Torch-Pruning takes to analyse a network, and how it cuts a candidate."""
    import torch_pruning as tp

    def build(copied: nn.Module) -> Any:
        last = [module for module in copied.modules() if isinstance(module, nn.Linear)][-1]
        importance = tp.importance.GroupMagnitudeImportance(p=2)
        return tp.pruner.BasePruner(copied, example, importance, pruning_ratio=0.5, ignored_layers=[last])

    def candidate() -> nn.Module:
        copied = copy.deepcopy(model)
        build(copied).step()
        return copied

    return timed(lambda: build(copy.deepcopy(model)))[0], candidate


def ours(model: nn.Module, example: Tensor) -> tuple[float, Callable[[], nn.Module]]:
    """The same of ours."""
    analysed, analysis = timed(lambda: analyse(model, example))
    evidence = gather_evidence(model, analysis)
    method = METHODS.build("l2", {})

    def candidate() -> nn.Module:
        kept = {g.name: choose(method, g, max(1, g.width // 2), evidence) for g in analysis.groups}
        return slim(model, analysis.groups, Plan.of(kept))

    return analysed, candidate


TOOLS = {"ours": ours, "torch_pruning": torch_pruning}


def measure(name: str) -> dict[str, Any]:
    """One row."""
    dense, example = network(name)
    analysis = analyse(dense, example)
    model = emptied(dense, analysis, half(analysis.groups))
    with torch.no_grad():
        expected = model(example)
    row: dict[str, Any] = {"network": name, "size": example.size(-1), "dense_macs": count_macs(dense, example)}
    work, made = {}, {}
    for tool, prepare in TOOLS.items():
        try:
            analysed, work[tool] = prepare(model, example)
            made[tool] = work[tool]()  # the first one is not timed: scores are computed once per network
            row[tool] = {"analyse": analysed, "candidate": float("inf"), **quality(made[tool], example, expected)}
        except Exception as error:  # what another tool fails with is a result
            row[tool] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    for _ in range(REPEATS):
        for tool in made:
            row[tool]["candidate"] = min(row[tool]["candidate"], timed(work[tool])[0])
    return row


def quality(small: nn.Module, example: Tensor, expected: Tensor) -> dict[str, float]:
    """MACs that are left, and how far the outputs are off as a fraction of the largest."""
    with torch.no_grad():
        output = small(example)
    same = output.shape == expected.shape
    off = float((output - expected).abs().max() / expected.abs().max()) if same else 1.0
    return {"macs": count_macs(small, example), "off": off}


def cost_vectors(name: str) -> dict[str, float]:
    """Seconds for the MACs, parameters and thop figure of many random vectors of widths."""
    analysis = analyse(*network(name))
    low, high = analysis.cost.smallest, analysis.cost.dense
    kept = np.random.default_rng(0).integers(low, high + 1, size=(NUM_VECTORS, len(high)))
    figures = {"macs": analysis.cost.macs, "params": analysis.cost.params, "thop": analysis.cost.thop}
    return {
        key: min(timed(lambda figure=figure: figure(kept))[0] for _ in range(REPEATS))  # type: ignore[misc]
        for key, figure in figures.items()
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| network | analyse, s: ours | Torch-Pruning | candidate, ms: ours | Torch-Pruning | times faster | "
        "MACs left: ours | Torch-Pruning | outputs as before: ours | Torch-Pruning |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    factors = []
    for row in rows:
        us, them = row["ours"], row["torch_pruning"]
        start = f"| {row['network']}, {row['size']} px | {us['analyse']:.1f} |"
        left = f"{us['macs'] / row['dense_macs']:.1%}"
        if "error" in them:
            lines.append(
                f"{start} - | {us['candidate'] * 1e3:.0f} | - | - | {left} | - | {verdict(us)} | {them['error']} |"
            )
            continue
        factors.append(them["candidate"] / us["candidate"])
        lines.append(
            f"{start} {them['analyse']:.1f} | {us['candidate'] * 1e3:.0f} | {them['candidate'] * 1e3:.0f} | "
            f"{factors[-1]:.0f} | {left} | {them['macs'] / row['dense_macs']:.1%} | {verdict(us)} | {verdict(them)} |"
        )
    lines.append(NOTES)
    lines.append(f"\nMedian: {median(factors):.0f} times faster per candidate, least {min(factors):.1f} times.")
    return "\n".join(lines)


NOTES = """
Our `analyse` includes the proof of every group in float64, which Torch-Pruning has no counterpart of; it runs once per
network. On ConvNeXt Torch-Pruning also cuts channels that a layer norm normalises together, which changes what is left;
we leave these dense and say so. On ResNet-56 it cuts the zero-padded shortcuts out of line, without a word."""


def verdict(found: dict[str, Any]) -> str:
    """Whether removing channels that are zero left the outputs alone."""
    return "yes" if found["off"] < 1e-3 else f"no, off by {found['off']:.1%}"


def cost_line(seconds: dict[str, float]) -> str:
    """One sentence on the cost model."""
    return (
        f"\n{NUM_VECTORS:,} vectors of widths of {NETWORKS[0]}: MACs in {seconds['macs']:.3f} s, "
        f"parameters in {seconds['params']:.3f} s, thop's figure in {seconds['thop']:.3f} s."
    )


def main(names: list[str]) -> None:
    """Measure, keep, write the table."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    path = RESULTS / "torch_pruning.json"
    rows = {row["network"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    for name in names or NETWORKS:
        rows[name] = measure(name)
        print(rows[name], flush=True)
        path.write_text(json.dumps([rows[key] for key in NETWORKS if key in rows], indent=1) + "\n")
    seconds = cost_vectors(NETWORKS[0])
    (RESULTS / "cost_vectors.json").write_text(json.dumps(seconds, indent=1) + "\n")
    head = "# Surgery beside Torch-Pruning 1.6.1\n\nMade by `python -m benchmarks.surgery.against_torch_pruning`,"
    body = table([rows[key] for key in NETWORKS if key in rows])
    page = f"{head} which says what is measured.\n\n{body}\n{cost_line(seconds)}\n"
    (RESULTS / "torch_pruning.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main(sys.argv[1:])
