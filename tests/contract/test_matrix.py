"""Every network of docs/networks.md: traced, proven, cut in half, compared with both counters, trained for a step.

`make test` runs the smallest member of each family, `make test-matrix` all of them, whose rows the page is made of.
"""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.surgery import networks
from benchmarks.surgery.networks import SECTIONS, known, measure
from pruners import analyse, slim
from pruners.shares import half

ROWS = os.environ.get("PARETOPRUNE_MATRIX_ROWS")
"""A folder for the rows of the table."""

SMALL = {
    "classification": [
        *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet"),
        *("inception_v3", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf"),
        *("resnet18", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vgg11_bn", "vit_b_32"),
    ],
    "tasks": ["lraspp_mobilenet_v3_large"],
    "timm": [
        *("coat_lite_tiny", "convnext_atto", "convnextv2_atto", "cspresnet50", "deit_tiny_patch16_224", "dla34"),
        *(
            "dpn48b",
            "ecaresnet26t",
            "edgenext_xx_small",
            "efficientnet_lite0",
            "fastvit_t8",
            "gernet_s",
            "ghostnet_100",
        ),
        *("hrnet_w18_small", "lcnet_050", "levit_128s", "mixer_s32_224", "mixnet_s", "mobilenetv4_conv_small"),
        *("mobilevit_xxs", "poolformer_s12", "pvt_v2_b0", "regnety_002", "repvgg_a0", "res2net50_26w_4s", "resnest14d"),
        *("resnet18d", "rexnet_100", "selecsls42", "skresnet18", "starnet_s1", "tinynet_e", "vovnet39a"),
    ],
}
"""The smallest network of each family, but for those that take seconds: MaxViT wants an image of 224."""

ONNX = [
    ("classification", "shufflenet_v2_x0_5"),
    ("classification", "resnet50"),
    ("classification", "densenet121"),
    ("timm", "res2net50_26w_4s"),
    ("timm", "deit_tiny_patch16_224"),
    ("tasks", "lraspp_mobilenet_v3_large"),
]

EVERYTHING = [(section, name) for section, (_, names) in SECTIONS.items() for name in names()]
SHARES = ("reach", "half")
FACTS = ("groups", *SHARES, "dense")


def row_of(section: str, name: str) -> dict[str, Any]:
    if section == "timm" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    return measure(SECTIONS[section][0], name)


def check(row: dict[str, Any]) -> None:
    assert row["equal"], "the cut network does not answer like the masked one"
    assert row["counters"], "the cost model is not what the counters say"
    assert row["backward"], "gradients are not finite"
    assert row["groups"] or row["dense"], "nothing is cut, and nothing says why"


@pytest.mark.parametrize(("section", "name"), [(section, name) for section in SMALL for name in SMALL[section]])
def test_a_network_of_each_family(section: str, name: str) -> None:
    row = row_of(section, name)
    check(row)
    expected = known(section)[name]
    stale = [key for key in FACTS if row[key] != (pytest.approx(expected[key]) if key in SHARES else expected[key])]
    assert not stale, "docs/networks.md says otherwise: make test-matrix"


@pytest.mark.matrix
@pytest.mark.parametrize(("section", "name"), EVERYTHING)
def test_every_network_of_the_table(section: str, name: str) -> None:
    row = row_of(section, name)
    if ROWS:
        Path(ROWS).mkdir(parents=True, exist_ok=True)
        (Path(ROWS) / f"{section}-{name}.json").write_text(json.dumps(row))
    check(row)


@pytest.mark.matrix
@pytest.mark.parametrize(("section", "name"), ONNX)
def test_onnx_of_a_sample(section: str, name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model, example = SECTIONS[section][0](name)
    groups = analyse(model, example).groups
    small = slim(model, groups, half(groups)).eval()
    path = str(tmp_path / "small.onnx")
    torch.onnx.export(small, (example,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {session.get_inputs()[0].name: example.numpy()})[0]
    with torch.no_grad():
        expected = next(networks.outputs_in(small(example)))
    torch.testing.assert_close(torch.from_numpy(got), expected, rtol=1e-3, atol=1e-4)
