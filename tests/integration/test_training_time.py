"""Regimes, rounds and masks from the command line: what is written, what it says, and every mistake as one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from evaluators.artifact import load_slim
from pruners import count_macs
from tests.integration.test_cli import call, write

SHORT: dict[str, Any] = {"train": {"steps": 10}, "finetune": {"steps": 4}}


@pytest.mark.parametrize(
    ("arguments", "method", "regime", "rounds"),
    [
        (["--regime", "greg", "--regime-epochs", "3"], "l1", "greg", 1),
        (["--regime", "{name: slimming, strength: 0.001}", "--method", "fpgm", "--rounds", "2"], "fpgm", "slimming", 2),
        (["--method", "l2", "--allocator", "sap", "--rounds", "2"], "l2", None, 2),
        (["--method", "l1", "--step", "{name: regroup, num_groups: 4}", "--rounds", "2"], "l1", None, 2),
    ],
)
def test_prune_trains_before_it_cuts(
    tmp_path: Path, arguments: list[str], method: str, regime: str | None, rounds: int
) -> None:
    out = tmp_path / "pruned"
    result = call(
        "prune",
        write(tmp_path, **SHORT),
        *arguments,
        *("--target-flops", "0.5", "--out", out, "--format", "safetensors"),
    )
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    assert report["candidate"]["method"]["name"] == method
    assert report["candidate"]["rounds"] == rounds
    assert 0.35 * report["dense"]["macs"] < report["pruned"]["macs"] <= 0.5 * report["dense"]["macs"]
    assert report["before"].get("regime", {}).get("name") == regime
    assert report["before"].get("rounds", {"number": 1})["number"] == rounds
    if regime == "greg":
        assert report["before"]["regime"]["recipe"]["epochs"] == 3
    slim = load_slim(out)
    assert (report["candidate"]["step"] or {}).get("name") == ("regroup" if "--step" in arguments else None)
    if "--step" in arguments:
        return
    widths = {group["name"]: group["kept"] for group in report["groups"] if group["name"].endswith("conv1")}
    assert {name: len(slim.get_submodule(name).weight) for name in widths} == widths  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["{name: sap, rounds: 1, p: 1, q: 2}", "{name: granet, sparsity: 0.8}"])
def test_mask_says_that_nothing_is_smaller(tmp_path: Path, method: str) -> None:
    out = tmp_path / "masked"
    result = call("mask", write(tmp_path, **SHORT), "--method", method, "--out", out)
    assert result.exit_code == 0, result.output
    assert "not smaller" in result.output
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "architecture.json", "report.json"}
    report = json.loads((out / "report.json").read_text())
    assert report["granularity"] == "weights"
    assert report["nonzero_macs"] < report["macs"] == report["rounds"][0]["nonzero_macs"]
    assert count_macs(load_slim(out), torch.zeros(1, 1, 8, 8)) == report["macs"]
    last = report["rounds"][-1]
    assert last["remaining_weights"] == report["remaining_weights"] < report["num_weights"]
    tensors = load_file(out / "model.safetensors")
    nonzero = sum(int(tensors[name].count_nonzero()) for name in last["pqi"])
    assert nonzero == report["remaining_weights"]
    assert 0 <= last["global_pqi"] < 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["prune", "--target-flops", "0.5"], "--method: is required, or --regime"),
        (["prune", "--target-flops", "0.5", "--regime", "grek"], "did you mean 'greg'"),
        (["prune", "--target-flops", "0.5", "--method", "l1", "--step", "merg"], "did you mean 'merge'"),
        (["prune", "--target-flops", "0.5", "--regime", "granet"], "paretoprune mask"),
        (["prune", "--target-flops", "0.5", "--regime", "[1]"], "should be a name"),
        (["prune", "--target-flops", "0.5", "--regime", "{name: greg, variant: 3}"], "variant = 3: must be in {1, 2}"),
        (["prune", "--target-flops", "0.5", "--regime", "greg", "--regime-epochs", "0"], "must be positive"),
        (["prune", "--target-flops", "0.5", "--method", "l1", "--regime-epochs", "1"], "needs a --regime"),
        (["mask", "--method", "l1"], "masks no single weights"),
        (["mask", "--method", "{name: sap, gama: 2}"], "did you mean 'gamma'"),
        (["mask", "--method", "{name: sap, p: 2}"], "q - p >= 0.2"),
        (["mask", "--method", "{name: granet, sparsity: 2}"], "sparsity = 2: must be in"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], part: str) -> None:
    command, *rest = arguments
    result = call(command, write(tmp_path, **SHORT), *rest, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert part in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()
