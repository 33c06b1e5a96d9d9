"""The matrix of networks: trace, prove, cut half, compare both counters, run backward. docs/networks.md is made of it.

`make test-matrix` runs it as tests (tests/contract/test_matrix.py), each of which leaves its row in a folder, and then
writes the page from these:

    python -m benchmarks.surgery.networks update FOLDER       # rows into results/ and docs/networks.md
    python -m benchmarks.surgery.networks timm [NAME ...]     # measure here instead: classification, tasks or timm
    python -m benchmarks.surgery.networks write               # all results into docs/networks.md

Results of networks that are not measured are kept.
"""

import json
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import detection, segmentation

from pruners import Analysis, Plan, analyse, count, slim
from pruners.proof import LARGEST, masked_tensors, run
from pruners.shares import half
from pruners.trace import outputs_in

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
SIZES = {"inception_v3": 96, "vit_h_14": 28, "vit_b_32": 64, "vit_l_32": 64, "vit_b_16": 32, "vit_l_16": 32}
SIZES |= {"ssd300_vgg16": 300}
DETECTORS = torchvision.models.list_models(detection)
REGIONS = {
    "rpn_pre_nms_top_n_test": 50,
    "rpn_post_nms_top_n_test": 100,
    "rpn_score_thresh": 0.0,
    "rpn_nms_thresh": 1.0,
    "box_score_thresh": -1.0,
    "box_nms_thresh": 1.0,
    "box_detections_per_img": 10,
}
"""Of an R-CNN: no region is dropped for its score or for its neighbours, so their number is the network's, not luck."""
TIMM = [
    "resnet18d",
    "seresnet50",
    "ecaresnet26t",
    "resnest14d",
    "skresnet18",
    "res2net50_26w_4s",
    "resnetv2_50",
    "nf_resnet50",
    "nfnet_f0",
    "dla34",
    "dpn48b",
    "densenet121",
    "vovnet39a",
    "hrnet_w18_small",
    "convnext_atto",
    "convnextv2_atto",
    "efficientnet_lite0",
    "mixnet_s",
    "mobilenetv4_conv_small",
    "fastvit_t8",
    "ghostnet_100",
    "regnety_002",
    "repvgg_a0",
    "mobileone_s0",
    "rexnet_100",
    "tresnet_m",
    "xception41",
    "inception_v4",
    "cspresnet50",
    "darknet53",
    "edgenext_xx_small",
    "mobilevit_xxs",
    "poolformer_s12",
    "resmlp_12_224",
    "mixer_s32_224",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "efficientformer_l1",
    "hardcorenas_a",
    "lcnet_050",
    "tinynet_e",
    "selecsls42",
    "gernet_s",
    "levit_128s",
    "coat_lite_tiny",
    "pvt_v2_b0",
    "starnet_s1",
]

Network = tuple[nn.Module, Any]


def classification(name: str) -> Network:
    """A torchvision classifier and an image that is as small as it takes."""
    size = SIZES.get(name, 224 if name == "maxvit_t" else 64)
    options: dict[str, Any] = {"image_size": size} if name.startswith("vit") else {}
    if name in {"googlenet", "inception_v3"}:
        options = {"init_weights": False, "aux_logits": False}
    return torchvision.models.get_model(name, weights=None, **options).eval(), torch.randn(1, 3, size, size)


def tasks(name: str) -> Network:
    """A torchvision detector or segmenter; detectors take a list of images, an R-CNN always finds as many regions."""
    options = REGIONS if "rcnn" in name else {"score_thresh": 0.0} if name in DETECTORS else {}
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=5, **options).eval()
    if options is REGIONS:
        model.rpn.min_size = -1.0  # nor for their size
    if not hasattr(model, "transform"):
        return model, torch.randn(1, 3, 64, 64)
    size = SIZES.get(name, 160)
    model.transform.min_size, model.transform.max_size = (size,), size
    model.transform.fixed_size = model.transform.fixed_size and (size, size)
    return model, ([torch.rand(3, size, size)],)


def timm(name: str) -> Network:
    """A timm classifier at 64 pixels, or at its own size where it insists."""
    import timm as library

    model = library.create_model(name).eval()
    for size in (64, model.default_cfg["input_size"][-1]):
        example = torch.randn(1, 3, size, size)
        try:
            with torch.no_grad():
                model(example)
        except (RuntimeError, AssertionError):
            continue
        break
    return model, example


SECTIONS: dict[str, tuple[Callable[[str], Network], Callable[[], list[str]]]] = {
    "classification": (classification, lambda: torchvision.models.list_models(torchvision.models)),
    "tasks": (tasks, lambda: [*DETECTORS, *torchvision.models.list_models(segmentation)]),
    "timm": (timm, lambda: TIMM),
}


def measure(build: Callable[[str], Network], name: str) -> dict[str, Any]:
    """One row of the table."""
    torch.manual_seed(0)
    model, example = build(name)
    started = time.process_time()
    analysis = analyse(model, example)
    analysed = time.process_time() - started
    plan = half(analysis.groups)
    seconds = []
    for _ in range(3):
        started = time.process_time()
        small = slim(model, analysis.groups, plan)
        seconds.append(time.process_time() - started)
    kept, counts, cost = plan.counts(analysis.groups), count(small, example), analysis.cost
    figures = int(cost.macs(kept)[0]), int(cost.params(kept)[0]), int(cost.thop(kept)[0])
    return {
        "model": name,
        "groups": len(analysis.groups),
        "reach": 1 - cost.min_macs / cost.dense_macs,
        "half": figures[0] / cost.dense_macs,
        "equal": agreement(model, example, analysis),
        "counters": figures == (counts.macs, counts.params, counts.thop_macs),
        "backward": backward(small, example),
        "dense": summary(analysis),
        "analyse_seconds": analysed,
        "slim_ms": min(seconds) * 1e3,
    }


def agreement(model: nn.Module, example: Any, analysis: Analysis) -> bool:
    """Whether the slim network and the masked dense one answer alike; in float64 unless that takes too much memory."""
    inputs = example if isinstance(example, tuple) else (example,)
    plan = half(analysis.groups)
    exact = analysis.cost.dense_params <= LARGEST
    if exact:
        model = slim(model, [], Plan(kept=())).double()
        inputs = tuple(
            value.double() if isinstance(value, torch.Tensor) else [image.double() for image in value]
            for value in inputs
        )
    expected = run(model, inputs, masked_tensors(model, analysis.groups, plan))
    got = run(slim(model, analysis.groups, plan), inputs)
    allowed = 1e-9 if exact else 1e-3
    return all(
        one.shape == two.shape
        and one.numel() > 0
        and float((one - two).abs().amax()) <= allowed * float(one.abs().amax())
        for one, two in zip(expected, got, strict=True)
    )


def backward(small: nn.Module, example: Any) -> bool:
    """Whether a training step's gradients are finite; detectors, which need targets, run in eval mode."""
    inputs = example if isinstance(example, tuple) else (example,)
    if isinstance(inputs[0], torch.Tensor):
        small.train()
        inputs = (torch.cat([inputs[0], inputs[0] + 0.1]),)
    outputs = [out for out in outputs_in(small(*inputs)) if out.requires_grad]
    if not outputs:
        return False
    torch.stack([out.float().mean() for out in outputs]).sum().backward()
    return all(bool(torch.isfinite(p.grad).all()) for p in small.parameters() if p.grad is not None)


def summary(analysis: Analysis) -> dict[str, int]:
    """Reason -> how many layers it keeps dense; numbers in messages are left out so that like goes with like."""
    layers: Counter[str] = Counter()
    for left in analysis.dense:
        reason = re.sub(r"(breaks the forward pass|changes the output).*", r"\1", left.reason)
        layers[reason] += max(1, len(left.layers))
    return dict(layers)


def collect(section: str, names: list[str]) -> None:
    """Measure and keep."""
    build, everything = SECTIONS[section]
    for name in names or everything():
        try:
            row = measure(build, name)
        except Exception as error:  # a network that fails is a row of the table, not the end of it
            row = {"model": name, "error": f"{type(error).__name__}: {str(error)[:200]}"}
        print(row, flush=True)
        keep(section, [row])


def known(section: str) -> dict[str, dict[str, Any]]:
    """The results of a section by network."""
    path = RESULTS / f"networks-{section}.json"
    return {row["model"]: row for row in json.loads(path.read_text())} if path.exists() else {}


def keep(section: str, new: list[dict[str, Any]]) -> None:
    """Rows into a section's results, beside those of other networks."""
    rows = known(section) | {row["model"]: row for row in new}
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([rows[key] for key in sorted(rows)], indent=1)
    (RESULTS / f"networks-{section}.json").write_text(text + "\n")


def update(folder: Path) -> None:
    """The rows that tests left in `folder` into results and page."""
    for section in SECTIONS:
        keep(section, [json.loads(path.read_text()) for path in sorted(folder.glob(f"{section}-*.json"))])
    write()


def write() -> None:
    """docs/networks.md from the results."""
    titles = {
        "classification": "torchvision: classification",
        "tasks": "torchvision: detection and segmentation",
        "timm": "timm: one or more of each family",
    }
    lines = [INTRODUCTION]
    for section, title in titles.items():
        if rows := known(section):
            lines += [f"\n## {title}\n", *table(list(rows.values()))]
    PAGE.write_text("\n".join(lines) + "\n")


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown."""
    yield "| network | groups | MACs in reach | MACs, half cut | exact | left dense (layers) | analyse, s | slim, ms |"
    yield "|---|---:|---:|---:|---|---|---:|---:|"
    for row in rows:
        if "error" in row:
            yield f"| {row['model']} | - | - | - | fails | {row['error']} | - | - |"
            continue
        wrong = [key for key in ("equal", "counters", "backward") if not row[key]]
        dense = "; ".join(f"{reason} ({layers})" for reason, layers in row["dense"].items()).replace("|", "/")
        yield (
            f"| {row['model']} | {row['groups']} | {row['reach']:.1%} | {row['half']:.1%} | "
            f"{'yes' if not wrong else 'not: ' + ', '.join(wrong)} | {dense} | "
            f"{row['analyse_seconds']:.1f} | {row['slim_ms']:.0f} |"
        )


INTRODUCTION = """# Networks

Made by `make test-matrix`; nothing here is written by hand. Every network is a test, has random weights and the
smallest image that it takes. For each: its channels are traced and sorted into groups, every group is proven (the slim
network answers like the dense one with the same channels masked), half of every group is cut, and on what is left
both counters (FlopCounterMode / 2 and thop), the parameters and a backward pass are checked.

- **MACs in reach**: share of the dense MACs that is gone when every group is cut to one channel.
- **exact**: the cut network answers like the masked one, the cost model's MACs, parameters and thop figure are those of
  the counters on the built network, and gradients are finite. The MACs of an R-CNN depend on how many regions it finds,
  which a cut changes; those below are built without thresholds of score, overlap and size (100 regions, 10 detections),
  so that their number is fixed. With thresholds the figures hold for as many regions as the dense network finds in the
  example.
- **left dense**: why layers are in no group. The network's output always is. [inspect.md](inspect.md) says what each
  reason means.
- Times are processor time of one thread, at the small image; the proof is most of `analyse`.

`make test` runs the smallest member of each family of torchvision's and 33 of timm's, and fails where this page says
otherwise. All of them take some ten minutes of processor time, so continuous integration leaves the others out."""


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    section, *names = arguments or [""]
    if section == "write":
        write()
    elif section == "update" and names:
        update(Path(names[0]))
    elif section in SECTIONS:
        collect(section, names)
    else:
        raise SystemExit(f"say one of {', '.join(SECTIONS)}, update FOLDER, write")


if __name__ == "__main__":
    main(sys.argv[1:])
