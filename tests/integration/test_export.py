"""An export is complete, agrees with itself from every file, and is refused rather than wrong."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from evaluators.artifact import Preprocessing, load_slim
from evaluators.batches import Batches
from evaluators.recipe import Recipe
from evaluators.score import accuracy
from evaluators.specs import ModelSpec
from evaluators.task import load_test
from pruners import count_macs
from search import reload_slim
from search.config_file import parse_config
from search.export import OURS, export_network
from search.export_check import check_format, write_format
from search.export_formats import FORMATS, Exported, ExportError
from search.prepare import Prepared, prepare
from search.report import ExportReport
from spaces import Candidate, Choice, UserError

RECIPE = Recipe(steps=10, batch_size=64, distill_weight=0.5)
CONFIG = {
    "model": "digits_resnet",
    "data": "digits",
    "target_flops": "0.4",
    "train": {"steps": 40, "lr": 0.05},
    "space": {"preset": "methods", "allocators": ["uniform"], "methods": ["l1"]},
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(parse_config(CONFIG), folder=tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module")
def candidate(prepared: Prepared) -> Candidate:
    return Candidate(budget_macs=prepared.budget.high_macs, allocator=Choice.of("uniform"), method=Choice.of("l1"))


@pytest.fixture(scope="module")
def folder(prepared: Prepared, candidate: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "digits"
    export_network(prepared=prepared, candidate=candidate, seed=3, recipe=RECIPE, out=out)
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> ExportReport:
    return ExportReport.from_json((folder / "report.json").read_text(encoding="utf-8"))


def images(prepared: Prepared, count: int) -> Tensor:
    return Batches(prepared.task.search).plain(slice(20, 20 + count))[0]


def test_everything_is_there_and_nothing_else(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(OURS)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("count", [1, 7])
def test_all_files_hold_one_network(folder: Path, prepared: Prepared, count: int) -> None:
    batch = images(prepared, count)
    with torch.no_grad():
        slim = load_slim(folder)(batch)
        graph = torch.export.load(folder / "model.pt2").module()(batch)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    onnx = torch.from_numpy(session.run(None, {"images": batch.numpy()})[0])
    torch.testing.assert_close(graph, slim)
    torch.testing.assert_close(onnx, slim, atol=1e-4, rtol=1e-4)


def test_report_agrees_with_the_files(folder: Path, report: ExportReport, prepared: Prepared) -> None:
    model = load_slim(folder)
    assert report.pruned.macs == count_macs(model, prepared.task.example) <= prepared.budget.high_macs
    assert {check.macs for check in report.files} == {report.pruned.macs}
    assert report.pruned.params == sum(parameter.numel() for parameter in model.parameters())
    assert report.pruned.size_bytes == (folder / "model.safetensors").stat().st_size
    assert sum(layer.macs for layer in report.layers) == report.pruned.macs
    assert sum(layer.params for layer in report.layers) == report.pruned.params
    assert all(check.size_bytes > 0 and check.batch_sizes == (1, 5) for check in report.files)


def test_accuracy_is_that_of_the_test_split(folder: Path, report: ExportReport, prepared: Prepared) -> None:
    test = load_test(prepared.spec)
    assert report.num_test == len(test)
    assert report.pruned.accuracy == accuracy(load_slim(folder), test).accuracy
    assert report.dense.accuracy == accuracy(prepared.model, test).accuracy


def test_report_is_the_same_after_a_round_trip(folder: Path, report: ExportReport) -> None:
    assert report.to_json() == (folder / "report.json").read_text(encoding="utf-8")


def test_page_needs_no_network_and_shows_every_group(folder: Path, report: ExportReport) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "http" not in page
    assert "<script" not in page
    assert all(f"{group.kept} of {group.dense}" in page and group.name in page for group in report.groups)


def test_the_weights_load_without_ray_optuna_and_mlflow(folder: Path, prepared: Prepared, tmp_path: Path) -> None:
    save_file({"0": images(prepared, 2)}, tmp_path / "probes")
    command = [sys.executable, "-P", reload_slim.__file__, str(folder), tmp_path / "probes", tmp_path / "logits"]
    root = str(Path(reload_slim.__file__).parents[1])
    done = subprocess.run(command, env={"PYTHONPATH": root}, capture_output=True, text=True, check=True)
    modules = set(json.loads(done.stdout.splitlines()[-1])["modules"])
    assert not modules & {"ray", "optuna", "mlflow", "search", "onnx", "pydantic"}


def test_same_candidate_and_seed_give_the_same_weights(
    folder: Path, prepared: Prepared, candidate: Candidate, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    only = frozenset({"safetensors"})
    export_network(prepared=prepared, candidate=candidate, seed=3, recipe=RECIPE, out=again, formats=only)
    first, second = load_file(folder / "model.safetensors"), load_file(again / "model.safetensors")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {path.name for path in again.iterdir()} == set(OURS) - {"model.pt2", "model.onnx"}


def test_an_earlier_export_is_replaced_and_anything_else_is_kept(
    prepared: Prepared, candidate: Candidate, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "model.onnx").write_text("an older one")
    only = frozenset({"safetensors"})
    export_network(prepared=prepared, candidate=candidate, seed=0, recipe=RECIPE, out=out, formats=only)
    assert not (out / "model.onnx").exists()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        export_network(prepared=prepared, candidate=candidate, seed=0, recipe=RECIPE, out=out, formats=only)
    assert (out / "thesis.tex").read_text() == "mine"
    assert (out / "model.safetensors").exists()


def test_an_unknown_format_is_refused(prepared: Prepared, candidate: Candidate, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'onnx'"):
        export_network(prepared=prepared, candidate=candidate, seed=0, out=tmp_path / "o", formats=frozenset({"onx"}))
    assert not (tmp_path / "o").exists()


def test_a_diverging_fine_tune_leaves_nothing_behind(prepared: Prepared, candidate: Candidate, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not finite"):
        export_network(
            prepared=prepared, candidate=candidate, seed=0, recipe=replace(RECIPE, lr=1e30), out=tmp_path / "o"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_changes_layers_is_exported_with_them(
    prepared: Prepared, candidate: Candidate, tmp_path: Path
) -> None:
    stepped = replace(candidate, step=Choice.of("regroup"))
    only = frozenset({"safetensors"})
    done = export_network(prepared=prepared, candidate=stepped, seed=0, recipe=RECIPE, out=tmp_path / "o", formats=only)
    assert done.pruned.macs == sum(layer.macs for layer in done.layers) <= candidate.budget_macs
    assert done.pruned.params == sum(layer.params for layer in done.layers)
    assert count_macs(load_slim(tmp_path / "o"), prepared.task.example) == done.pruned.macs


class Masked(nn.Module):
    """Eight channels of which `zeroed` are nothing but zeros: the logits do not tell how many are there."""

    def __init__(self, width: int, used: int = 4) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(1, width, 3, bias=False)
        self.head = nn.Linear(width, 10)
        with torch.no_grad():
            self.conv.weight.zero_()[:used] = torch.randn(used, 1, 3, 3, generator=generator)
            self.head.weight.zero_()[:, :used] = torch.randn(10, used, generator=generator)
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean(dim=(2, 3)))


class Branching(nn.Module):
    """Looks at the numbers to decide what to do: no graph can hold that."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(images.flatten(1))
        return logits if float(logits.sum()) > 0 else -logits


def branching(*, num_classes: int) -> nn.Module:
    return Branching()


def exported(model: nn.Module) -> Exported:
    names = tuple(map(str, range(10)))
    about = Preprocessing(mean=(0.0,), std=(1.0,), class_names=names)
    return Exported(
        model=model.eval(),
        spec=ModelSpec(name=f"{__name__}:branching"),
        example=torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)),
        preprocessing=about,
    )


@pytest.mark.parametrize("name", ["pt2", "onnx"])
def test_a_file_with_other_logits_is_refused(name: str, tmp_path: Path) -> None:
    written, measured = exported(Masked(8)), exported(Masked(8, used=5))
    write_format(FORMATS[name], written, tmp_path)
    probes = [written.example[:1], written.example]
    check_format(FORMATS[name], written, tmp_path, probes=probes)
    with pytest.raises(ExportError, match="its logits differ"):
        check_format(FORMATS[name], measured, tmp_path, probes=probes)


@pytest.mark.parametrize("name", ["pt2", "onnx"])
def test_a_file_with_the_same_logits_and_more_macs_is_refused(name: str, tmp_path: Path) -> None:
    write_format(FORMATS[name], exported(Masked(8)), tmp_path)
    slim = exported(Masked(4))
    with pytest.raises(ExportError, match="MACs, not"):
        check_format(FORMATS[name], slim, tmp_path, probes=[slim.example])


def test_damaged_weights_are_refused(folder: Path, prepared: Prepared, tmp_path: Path) -> None:
    for name in FORMATS["safetensors"].files:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name in tensors if name.endswith("weight"))
    tensors[name] += 0.01
    save_file(tensors, tmp_path / "model.safetensors")
    whole = replace(exported(load_slim(folder)), example=images(prepared, 2))
    with pytest.raises(ExportError, match="its logits differ"):
        check_format(FORMATS["safetensors"], whole, tmp_path, probes=[whole.example])
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ExportError, match="can't be loaded again"):
        check_format(FORMATS["safetensors"], whole, tmp_path, probes=[whole.example])


def test_a_network_that_a_format_cannot_hold_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="leave pt2 out of --format"):
        write_format(FORMATS["pt2"], exported(Branching()), tmp_path)
