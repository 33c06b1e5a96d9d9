"""MLflow calls: one parent run per search, one child per candidate. Any may be slow or fail; see `Tracker`."""

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
    # One retry: a server that is away must not hold the search's end for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402

from search.front import Front, Measured  # noqa: E402
from search.tracking_view import view_tag  # noqa: E402

for _logger in ("mlflow", "alembic"):
    logging.getLogger(_logger).setLevel(logging.ERROR)


def default_uri(runs: Path) -> str:
    """The embedded database beside the runs."""
    return f"sqlite:///{(runs / 'mlflow.db').resolve()}"


class MlflowSearch:
    """The MLflow side of one search; made again where it is missing."""

    def __init__(self, *, uri: str, experiment: str, runs: Path, name: str, search_id: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._name, self._search_id = name, search_id
        location = (runs / "mlartifacts").resolve().as_uri() if uri == default_uri(runs) else None
        self.experiment_id = self._experiment(experiment, location)
        self.parent = self._open_parent()
        self._children = {run.data.tags["trial"]: run for run in self._find("trial")}
        self._run_ids = {int(number): str(run.info.run_id) for number, run in self._children.items()}
        self._pareto = {int(n) for n, run in self._children.items() if run.data.tags.get("pareto") == "true"}
        self._logged = {
            (int(number), int(rung))
            for number, run in self._children.items()
            for rung in run.data.tags.get("fidelities", "").split(",")
            if rung
        }
        self._parent_metrics = 0

    def describe(self, params: Mapping[str, Any], *, note: str, environment: Mapping[str, Any]) -> None:
        """What was searched: parameters (written once), a note in Markdown, and versions and device as tags."""
        known = self._client.get_run(self.parent).data.params
        fresh = [Param(key, str(value)[:500]) for key, value in params.items() if key not in known]
        tags = [RunTag("mlflow.note.content", note)]
        tags += [RunTag(f"environment.{name}", str(value)) for name, value in environment.items()]
        self._client.log_batch(self.parent, params=fresh, tags=tags)
        self._client.set_experiment_tag(self.experiment_id, *view_tag(self._search_id))

    def add(self, item: Measured, *, dense_macs: int, dense_params: int) -> None:
        """One evaluation; the child run of its candidate is made at the first."""
        key = (item.number, item.evaluation.fidelity)
        if key in self._logged:
            return
        run_id = self._run_ids.get(item.number) or self._create_child(item)
        known = any(number == item.number for number, _ in self._logged)
        self._logged.add(key)
        fidelities = ",".join(str(rung) for number, rung in sorted(self._logged) if number == item.number)
        metrics = _metrics(item, dense_macs=dense_macs, dense_params=dense_params)
        tags = {"fidelities": fidelities, "status": item.evaluation.status}
        if item.evaluation.reason:
            tags["reason"] = item.evaluation.reason[:500]
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, _now(), item.evaluation.fidelity) for name, value in metrics.items()],
            params=[] if known else [Param(key, str(value)) for key, value in _knobs(item).items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        failed = item.evaluation.status != "complete"
        self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def mark(self, front: Front) -> None:
        """Tag who is on the front, and who no longer is."""
        members = {item.number for item in front.members}
        for number in members ^ self._pareto:
            if number in self._run_ids:
                self._client.set_tag(self._run_ids[number], "pareto", "true" if number in members else "false")
        self._pareto = members

    def curve(self, front: Front, *, num_finished: int) -> None:
        """A point of the parent's curves."""
        values = {"hypervolume": front.hypervolume(), "pareto_size": float(len(front.members))}
        if front.members:
            values["best_accuracy"] = max(item.accuracy for item in front.members)
        self._client.log_batch(self.parent, metrics=[Metric(k, v, _now(), num_finished) for k, v in values.items()])

    def attach(self, files: Iterable[Path], *, folder: str) -> None:
        """Files for the parent run."""
        for file in files:
            self._client.log_artifact(self.parent, str(file), artifact_path=folder)

    def table(self, rows: Sequence[Mapping[str, Any]], *, name: str) -> None:
        """A table that MLflow shows page by page, in place of an earlier one, to which `log_table` would add."""
        columns = list(rows[0]) if rows else []
        data = [[row[column] for column in columns] for row in rows]
        self._client.log_dict(self.parent, {"columns": columns, "data": data}, name)
        self._client.set_tag(self.parent, "mlflow.loggedArtifacts", json.dumps([{"path": name, "type": "table"}]))

    def figures(self, values: Mapping[str, float]) -> None:
        """Metrics of the whole search."""
        self._client.log_batch(self.parent, metrics=[Metric(key, value, _now(), 0) for key, value in values.items()])

    def close(self, status: str) -> None:
        """End the parent run: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self.parent, status)

    def _experiment(self, name: str, location: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=location))

    def _open_parent(self) -> str:
        found = self._find("search")
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
            return str(found[0].info.run_id)
        tags = {"search_id": self._search_id, "role": "search"}
        return str(self._client.create_run(self.experiment_id, run_name=self._name, tags=tags).info.run_id)

    def _find(self, role: str) -> list[Any]:
        text = f"tags.search_id = '{self._search_id}' AND tags.role = '{role}'"
        found: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs([self.experiment_id], text, max_results=1000, page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return found

    def _create_child(self, item: Measured) -> str:
        tags = {
            "mlflow.parentRunId": self.parent,
            "search_id": self._search_id,
            "role": "trial",
            "trial": str(item.number),
            "pareto": "false",
        }
        name = f"trial-{item.number:04d}"
        run_id = str(self._client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id)
        self._run_ids[item.number] = run_id
        self._client.log_text(run_id, item.candidate.to_json(), "config.json")
        return run_id


def _metrics(item: Measured, *, dense_macs: int, dense_params: int) -> dict[str, float]:
    evaluation = item.evaluation
    if evaluation.status != "complete":
        return {}
    return {
        "accuracy": float(evaluation.accuracy),
        "loss": float(evaluation.loss),
        "macs": float(evaluation.macs),
        "macs_ratio": evaluation.macs / dense_macs,
        "params": float(evaluation.params),
        "params_ratio": evaluation.params / dense_params,
        "thop_macs": float(evaluation.thop_macs),
        "seconds": float(evaluation.seconds),
        **({} if evaluation.latency_ms is None else {"latency_ms": evaluation.latency_ms}),
        **({} if evaluation.test_accuracy is None else {"test_accuracy": evaluation.test_accuracy}),
    }


def _knobs(item: Measured) -> dict[str, Any]:
    """The few parameters that people sort by; per-group offsets are in config.json."""
    candidate = item.candidate
    knobs: dict[str, Any] = {"budget_macs": candidate.budget_macs, "rounds": candidate.rounds}
    for role, choice in (("allocator", candidate.allocator), ("method", candidate.method), ("step", candidate.step)):
        if choice is not None:
            knobs[role] = choice.name
            knobs |= {f"{role}.{choice.name}.{key}": value for key, value in choice.params}
    return knobs


def _now() -> int:
    return int(time.time() * 1000)
