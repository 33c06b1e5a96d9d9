"""The chosen candidate: replayed, fine-tuned, measured once on the test split, written, and each file proven."""

import copy
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evaluators.artifact import Preprocessing
from evaluators.batches import Batches
from evaluators.recipe import Recipe
from evaluators.task import load_test
from evaluators.train import finetune, recalibrate
from evaluators.worker import Evaluator, candidate_generator
from search.destination import check_destination, complete_folder
from search.export_check import check_format, check_rebuilds, write_format
from search.export_formats import FORMATS, Exported
from search.export_layers import group_widths, layer_changes
from search.export_measure import environment, measure
from search.made import Made
from search.prepare import Prepared, Say, quiet
from search.recipes import EXPORT_RECIPE
from search.report import ExportReport, FileCheck, PredictedLatency
from search.report_html import to_html
from spaces import Candidate, UserError

REPORTS = ("report.json", "report.html")
OURS = (*REPORTS, *(file for format in FORMATS.values() for file in format.files))
PROBE_SIZES = (1, 5)


def chosen_formats(names: Iterable[str]) -> frozenset[str]:
    """The formats to write; safetensors is always among them.

    Raises:
        UserError: an unknown format.
    """
    names = frozenset(names)
    for name in sorted(names - FORMATS.keys()):
        raise UserError("--format", name, "unknown format", choices=FORMATS)
    return names | {"safetensors"}


def export_network(
    *,
    prepared: Prepared,
    candidate: Candidate | Made,
    seed: int,
    recipe: Recipe = EXPORT_RECIPE,
    out: Path,
    formats: frozenset[str] = frozenset(FORMATS),
    progress: Say = quiet,
) -> ExportReport:
    """Make the network of a candidate, fine-tune it and write it to `out`, which is then complete, or as it was.

    Args:
        prepared: data, dense network, groups and evidence.
        candidate: what to make, or what is made and only has to be fine-tuned.
        seed: with the candidate, of everything random.
        recipe: of the fine-tuning; where it distils, the dense network teaches.
        out: folder; new, empty, or with an earlier export, which is replaced.
        formats: names in `FORMATS`; safetensors is always written.
        progress: hears of each stage.

    Raises:
        UserError: `out` holds something else, or a format is unknown.
        PlanError: the candidate can't be turned into a network.
        ExportError: a format can't hold the network, or a file is not the network it was written from.
        NonFiniteLossError: the fine-tuning diverged.
    """
    formats = chosen_formats(formats)
    check_destination(out, ours=OURS)
    export = _Export(prepared, candidate, seed=seed, progress=progress)
    with complete_folder(out) as folder:
        export.rehearse(folder, formats)
        export.train(recipe)
        report = export.write(folder, formats, recipe)
        (folder / "report.json").write_text(report.to_json(), encoding="utf-8")
        (folder / "report.html").write_text(to_html(report, folder=out.name), encoding="utf-8")
    return report


class _Export:
    """One export under way."""

    def __init__(self, prepared: Prepared, wanted: Candidate | Made, *, seed: int, progress: Say) -> None:
        """Replay the candidate, exactly as a worker does, unless its network is there."""
        evaluator = Evaluator(prepared.task.spec, prepared.splits, prepared.analysis, prepared.evidence, ())
        self._task, self._dense = evaluator.task, evaluator.dense
        self._prepared, self._seed, self._progress = prepared, seed, progress
        self._seconds: dict[str, float] = {}
        self._before: Mapping[str, Any] = {}
        self._trained = isinstance(wanted, Made) and wanted.trained
        if isinstance(wanted, Made):
            self._candidate, self._plan, self._pruned = wanted.candidate, wanted.plan, wanted.network
            self._before = wanted.before
            return
        self._candidate = wanted
        with self._stage("cutting the network"):
            self._plan, self._pruned = evaluator.build(wanted)

    def rehearse(self, folder: Path, formats: frozenset[str]) -> None:
        """Write every format once before any training, so that one that can't hold the network shows at once."""
        with self._stage("trying the formats"):
            self._write_all(folder, formats)
            check_rebuilds(folder)

    def train(self, recipe: Recipe) -> None:
        """Fine-tune in place, unless that was done after the search."""
        if self._trained:
            return
        with self._stage("fine-tuning"):
            generator = candidate_generator(self._candidate, seed=self._seed)
            recalibrate(self._pruned, self._task.train, generator=generator)
            teacher = self._dense if recipe.distill_weight > 0 else None
            finetune(self._pruned, self._task, recipe=recipe, generator=generator, teacher=teacher)

    def write(self, folder: Path, formats: frozenset[str], recipe: Recipe) -> ExportReport:
        """Measure the finished network, write it and check every file."""
        written = self._exported(self._pruned)
        with self._stage("measuring on the test split"):
            test = load_test(self._task.spec).to(self._task.device)
            models = {"dense": self._dense, "pruned": self._pruned}
            found = measure(models, self._task, test, written=written, predicted=self._predicted())
        with self._stage("writing"):
            self._write_all(folder, formats)
        with self._stage("loading every file again"):
            files = self._check_all(folder, formats)
        spec, analysis = self._task.spec, self._prepared.analysis
        return ExportReport(
            model=spec.model.name,
            data=spec.data.name,
            candidate=json.loads(self._candidate.to_json()),
            seed=self._seed,
            dense=found["dense"],
            pruned=found["pruned"],
            num_test=len(test),
            preprocessing={"shape": list(self._task.example.shape[1:]), **asdict(written.preprocessing)},
            recipe=asdict(recipe),
            groups=group_widths(analysis, self._plan),
            layers=layer_changes(analysis, self._pruned, self._task.example),
            files=files,
            environment=environment(self._task.device),
            seconds=self._seconds,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            before=self._before,
        )

    def _predicted(self) -> dict[str, PredictedLatency]:
        analysis = self._prepared.analysis
        latency = analysis.latency
        if latency is None:
            return {}
        table = latency.table
        pruned = float(latency.predict(self._plan.counts(analysis.groups))[0])
        return {
            name: PredictedLatency(
                batch_size=table.batch_size, milliseconds=milliseconds, device=table.device, threads=table.threads
            )
            for name, milliseconds in (("dense", latency.dense_ms), ("pruned", pruned))
        }

    def _write_all(self, folder: Path, formats: frozenset[str]) -> None:
        exported = self._exported(self._pruned)
        for name in FORMATS:
            if name in formats:
                write_format(FORMATS[name], exported, folder)

    def _check_all(self, folder: Path, formats: frozenset[str]) -> tuple[FileCheck, ...]:
        exported, images = self._exported(self._pruned), self._images(sum(PROBE_SIZES))
        probes = list(images.split(list(PROBE_SIZES)))
        chosen = [FORMATS[name] for name in FORMATS if name in formats]
        return tuple(check_format(format, exported, folder, probes=probes) for format in chosen)

    def _exported(self, model: nn.Module) -> Exported:
        """A copy on the processor: files are written from there whatever device trained."""
        return Exported(
            model=on_processor(model),
            spec=self._task.spec.model,
            example=self._images(2),
            preprocessing=Preprocessing.of(self._task),
        )

    def _images(self, count: int) -> Tensor:
        """Normalised images (count, C, H, W) on the processor; repeated where there are too few."""
        images, _ = Batches(self._task.search).plain(slice(0, count))
        return images.cpu().repeat(-(-count // len(images)), 1, 1, 1)[:count].contiguous()

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._progress(name)
        started = time.perf_counter()
        yield
        self._seconds[name] = round(time.perf_counter() - started, 3)


def on_processor(model: nn.Module) -> nn.Module:
    """The network in evaluation mode on the processor: itself where it lies there, else a copy."""
    if all(tensor.device.type == "cpu" for tensor in model.state_dict().values()):
        return model.eval()
    return copy.deepcopy(model).to(torch.device("cpu")).eval()
