"""What an export has to say: before and after, layer by layer, and how each file was checked."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pruners.timing import Latency

MADE_BY = "paretoprune"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedLatency:
    """What the latency table of a run says of a network's widths; it knows nothing of a step.

    Attributes:
        batch_size: images per forward pass.
        milliseconds: of a pass.
        device: that the table was measured on.
        threads: of its processor.
    """

    batch_size: int
    milliseconds: float
    device: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One network, measured.

    Attributes:
        accuracy: fraction of the test split answered right, in [0, 1].
        loss: mean cross-entropy on the test split.
        macs: multiply-adds of one image by PyTorch's counter.
        thop_macs: thop's figure, which adds batch norms and adaptive pooling.
        params: elements of all parameters.
        size_bytes: of the weights as safetensors.
        latency: by batch size.
        predicted_latency: by the run's latency table; None without one.
    """

    accuracy: float
    loss: float
    macs: int
    thop_macs: int
    params: int
    size_bytes: int
    latency: tuple[Latency, ...]
    predicted_latency: PredictedLatency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWidth:
    """Channels of one group before and after."""

    name: str
    stage: str
    dense: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerChange:
    """One layer's cost before and after."""

    name: str
    kind: str
    dense_macs: int
    macs: int
    dense_params: int
    params: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One written format, loaded again.

    Attributes:
        format: `safetensors`, `pt2` or `onnx`.
        files: names in the folder.
        size_bytes: of all of them.
        sha256: of the first one.
        difference: largest difference of a logit, as a share of the largest logit.
        macs: counted on what was loaded.
        batch_sizes: that it was run with.
    """

    format: str
    files: tuple[str, ...]
    size_bytes: int
    sha256: str
    difference: float
    macs: int
    batch_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """Everything about one exported network; `report.json` holds exactly this.

    Attributes:
        model: name of the dense network.
        data: name of the data set.
        candidate: as its JSON.
        seed: of planning and fine-tuning.
        dense: the network before.
        pruned: the network after.
        num_test: images of the test split, which was read for this report only.
        preprocessing: what the network expects of its input, and the names of its classes.
        recipe: of the fine-tuning.
        groups: widths, in the order of the forward pass.
        layers: costs, in the order of the forward pass.
        files: what was written and how it was checked.
        environment: versions, processor, threads.
        seconds: by stage of the export.
        before: what was trained before the cut and between its rounds; empty where the dense network was cut as it is.
    """

    model: str
    data: str
    candidate: Mapping[str, Any]
    seed: int
    dense: Measurement
    pruned: Measurement
    num_test: int
    preprocessing: Mapping[str, Any]
    recipe: Mapping[str, Any]
    groups: tuple[GroupWidth, ...]
    layers: tuple[LayerChange, ...]
    files: tuple[FileCheck, ...]
    environment: Mapping[str, Any]
    seconds: Mapping[str, float]
    created: str
    made_by: str = field(default=MADE_BY)
    before: Mapping[str, Any] = field(default_factory=dict)

    @property
    def macs_ratio(self) -> float:
        """MACs after as a share of those before."""
        return self.pruned.macs / self.dense.macs

    def to_json(self) -> str:
        """Indented JSON; floats in full precision."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ExportReport":
        """The inverse of `to_json`."""
        data = json.loads(text)
        data["dense"], data["pruned"] = _measurement(data["dense"]), _measurement(data["pruned"])
        data["groups"] = tuple(GroupWidth(**item) for item in data["groups"])
        data["layers"] = tuple(LayerChange(**item) for item in data["layers"])
        data["files"] = tuple(
            FileCheck(**{**item, "files": tuple(item["files"]), "batch_sizes": tuple(item["batch_sizes"])})
            for item in data["files"]
        )
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table before and after."""

    name: str
    dense: str
    pruned: str
    change: str


def comparison(report: ExportReport) -> tuple[Row, ...]:
    """The table before and after, as text, for the page and the terminal."""
    dense, pruned = report.dense, report.pruned
    points = 100 * (pruned.accuracy - dense.accuracy)
    rows = [
        Row(
            name="test accuracy",
            dense=f"{dense.accuracy:.2%}",
            pruned=f"{pruned.accuracy:.2%}",
            change=f"{points:+.2f} points",
        ),
        Row(name="test loss", dense=f"{dense.loss:.4f}", pruned=f"{pruned.loss:.4f}", change=""),
        _counted("MACs", dense.macs, pruned.macs),
        _counted("MACs by thop", dense.thop_macs, pruned.thop_macs),
        _counted("parameters", dense.params, pruned.params),
        _counted("weights, bytes", dense.size_bytes, pruned.size_bytes),
    ]
    for before, after in zip(dense.latency, pruned.latency, strict=True):
        rows.append(
            Row(
                name=f"latency, batch {before.batch_size}",
                dense=f"{before.milliseconds:.2f} ms",
                pruned=f"{after.milliseconds:.2f} ms",
                change=f"{after.milliseconds / before.milliseconds:.0%} of the time",
            )
        )
    if (old := dense.predicted_latency) is not None and (new := pruned.predicted_latency) is not None:
        rows.append(
            Row(
                name=f"latency predicted for {old.device}, batch {old.batch_size}",
                dense=f"{old.milliseconds:.2f} ms",
                pruned=f"{new.milliseconds:.2f} ms",
                change=f"{new.milliseconds / old.milliseconds:.0%} of the time",
            )
        )
    return tuple(rows)


def _counted(name: str, dense: int, pruned: int) -> Row:
    return Row(name=name, dense=f"{dense:,}", pruned=f"{pruned:,}", change=f"{pruned / dense:.1%} of dense")


def _measurement(data: Mapping[str, Any]) -> Measurement:
    predicted = data.get("predicted_latency")
    return Measurement(
        **{
            **data,
            "latency": tuple(Latency(**item) for item in data["latency"]),
            "predicted_latency": None if predicted is None else PredictedLatency(**predicted),
        }
    )
