"""An exported network as a version of a registered model in MLflow, with an alias for its budget."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evaluators.artifact import load_slim
from search.report import ExportReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Where an export belongs in MLflow.

    Attributes:
        uri: of the tracking server or database.
        experiment: name of the experiment.
        runs: folder of all runs, for artifacts of the embedded database.
        model: name of the registered model.
        search_id: of the search.
        trial: number of the candidate.
        alias: of the version, such as `flops-40`.
    """

    uri: str
    experiment: str
    runs: Path
    model: str
    search_id: str
    trial: int
    alias: str


def try_register(folder: Path, report: ExportReport, place: Registration) -> str:
    """Register, and say in one line what came of it; MLflow away or broken is no reason to lose an export."""
    try:
        return f"in MLflow: {register(folder, report, place)}"
    except Exception as error:  # MLflow, its database, its server and its exporter raise whatever they like.
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        return f"MLflow did not take the model ({reason}); the files are complete"


def register(folder: Path, report: ExportReport, place: Registration) -> str:
    """Log an export as a run of its own beside the search's trials, and register the model.

    Args:
        folder: the complete export.
        report: its figures.
        place: where to.

    Returns:
        The model's address, `models:/NAME@ALIAS`.
    """
    from search.tracking_mlflow import default_uri  # first: it sets MLflow's environment

    from mlflow import MlflowClient  # isort: skip

    client = MlflowClient(tracking_uri=place.uri)
    found = client.get_experiment_by_name(place.experiment)
    location = (place.runs / "mlartifacts").resolve().as_uri() if place.uri == default_uri(place.runs) else None
    experiment = (
        found.experiment_id if found else client.create_experiment(place.experiment, artifact_location=location)
    )
    tags = {
        "search_id": place.search_id,
        "role": "export",
        "trial": str(place.trial),
        **_parent(client, experiment, place),
    }
    run_id = client.create_run(experiment, run_name=f"export {place.alias}", tags=tags).info.run_id
    figures = _figures(report)
    for name, value in figures.items():
        client.log_metric(run_id, name, value)
    client.log_artifacts(run_id, str(folder), artifact_path="export")
    version = _log_model(folder, report, place, run_id)
    client.set_registered_model_alias(place.model, place.alias, version)
    for name, value in figures.items():  # a version shows no metrics of its run
        client.set_model_version_tag(place.model, version, name, f"{value:.6g}")
    return f"models:/{place.model}@{place.alias}"


def _parent(client: Any, experiment: str, place: Registration) -> dict[str, str]:
    """The tag that puts the run below the search's, where that is in MLflow."""
    wanted = f"tags.search_id = '{place.search_id}' AND tags.role = 'search'"
    found = client.search_runs([experiment], wanted, max_results=1)
    return {"mlflow.parentRunId": found[0].info.run_id} if found else {}


def _figures(report: ExportReport) -> dict[str, float]:
    pruned, dense = report.pruned, report.dense
    return {
        "test_accuracy": pruned.accuracy,
        "dense_test_accuracy": dense.accuracy,
        "macs": float(pruned.macs),
        "macs_ratio": report.macs_ratio,
        "params": float(pruned.params),
        "params_ratio": pruned.params / dense.params,
        "thop_macs": float(pruned.thop_macs),
        "size_bytes": float(pruned.size_bytes),
        **{f"latency_ms_batch_{item.batch_size}": item.milliseconds for item in pruned.latency},
    }


def _log_model(folder: Path, report: ExportReport, place: Registration, run_id: str) -> str:
    """Log and register the network as a graph of torch.export: nothing pickled, and loading it needs no code of ours.

    Returns:
        The version's number.
    """
    import mlflow
    import mlflow.pytorch

    version = torch.__version__.split("+")[0]
    with _pointed_at(place.uri), mlflow.start_run(run_id=run_id):
        logged = mlflow.pytorch.log_model(
            load_slim(folder),
            name=place.alias,
            serialization_format="pt2",
            input_example=torch.zeros(2, *report.preprocessing["shape"]).numpy(),
            # Finding out the requirements would import and run the model in a new process.
            pip_requirements=[f"torch=={version}", f"mlflow=={mlflow.__version__}"],
        )
        return _new_version(place, run_id, logged.model_id)


def _new_version(place: Registration, run_id: str, model_id: str) -> str:
    """As `mlflow.register_model`, which prints; the store looks the model up at MLflow's global address."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=place.uri)
    try:
        client.create_registered_model(place.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(place.model, source=f"models:/{model_id}", run_id=run_id, model_id=model_id)
    return str(made.version)


@contextmanager
def _pointed_at(uri: str) -> Iterator[None]:
    """Inside, MLflow's global functions talk to `uri`, and quietly."""
    import mlflow

    before, quiet = mlflow.get_tracking_uri(), logging.getLogger("mlflow")
    level, bars = quiet.level, os.environ.get("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    mlflow.set_tracking_uri(uri)
    quiet.setLevel(logging.ERROR)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        quiet.setLevel(level)
        os.environ.pop("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
        if bars is not None:
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = bars
