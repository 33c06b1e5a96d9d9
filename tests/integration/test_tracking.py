"""MLflow as a view of the study: complete, made again from it, and never in the way."""

import json
import platform
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from search.config import Tracking
from search.flow import SearchResult, read_run, run_search
from search.front import Dense, Front
from search.tracking import Subject, Tracker, sync, tracking_uri
from search.tracking_sync import sync_run
from search.tracking_view import view_key
from tests.integration.conftest import TINY
from tests.property.test_front import measured

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tracked(ray_two_cpus: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, MlflowClient]:
    from search.config_file import parse_config

    runs = tmp_path_factory.mktemp("runs")
    config = parse_config({**TINY, "tracking": {"enabled": True}})
    result = run_search(config, runs=runs, name="tracked")
    return result, MlflowClient(tracking_uri=tracking_uri(config.tracking, runs=runs))


def find(client: MlflowClient, role: str) -> list[Any]:
    experiment = client.get_experiment_by_name("paretoprune")
    return list(client.search_runs([experiment.experiment_id], f"tags.role = '{role}'"))


def check(result: SearchResult, client: MlflowClient) -> None:
    (parent,) = find(client, "search")
    children = find(client, "trial")
    assert parent.info.status == "FINISHED"
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    by_trial = {int(child.data.tags["trial"]): child for child in children}
    assert by_trial.keys() == {item.number for item in result.measured}
    members = {item.number for item in result.front.members}
    for item in result.measured:
        child = by_trial[item.number]
        assert child.info.status == "FINISHED"
        assert child.data.metrics["accuracy"] == pytest.approx(item.accuracy)
        assert child.data.metrics["macs"] == item.macs
        assert child.data.metrics["macs_ratio"] == pytest.approx(item.macs / result.dense.macs)
        assert {"loss", "params", "params_ratio", "thop_macs", "seconds"} <= child.data.metrics.keys()
        assert child.data.params["method"] == item.candidate.method.name
        assert child.data.tags["pareto"] == ("true" if item.number in members else "false")
        assert [file.path for file in client.list_artifacts(child.info.run_id)] == ["config.json"]
    curve = client.get_metric_history(parent.info.run_id, "hypervolume")
    assert max(point.value for point in curve) == pytest.approx(result.front.hypervolume())
    assert parent.data.metrics["pareto_size"] == len(members)
    assert parent.data.tags["environment.python"] == platform.python_version()
    assert parent.data.tags["environment.seed"] == "0"
    assert {
        "environment.torch",
        "environment.optuna",
        "environment.ray",
        "environment.device",
    } <= parent.data.tags.keys()
    assert "spearman/parameters kept/recalibrate num_samples_64" in parent.data.metrics
    assert 0 <= parent.data.metrics["overhead_share"] < 1
    files = {file.path for file in client.list_artifacts(parent.info.run_id, "pareto")}
    names = ("front.html", "front.png", "front.csv", "front.json", "table.json", "proxies.json")
    assert files == {f"pareto/{name}" for name in names}


def test_a_search_is_recorded_whole(tracked: tuple[SearchResult, MlflowClient]) -> None:
    check(*tracked)


def test_the_page_needs_no_network(tracked: tuple[SearchResult, MlflowClient], tmp_path: Path) -> None:
    result, client = tracked
    (parent,) = find(client, "search")
    page = Path(client.download_artifacts(parent.info.run_id, "pareto/front.html", str(tmp_path))).read_text("utf-8")
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    for item in result.front.members:
        assert f"trial {item.number}" in page
    picture = Path(client.download_artifacts(parent.info.run_id, "pareto/front.png", str(tmp_path))).read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_the_view_is_made_again_from_the_study(tracked: tuple[SearchResult, MlflowClient]) -> None:
    result, client = tracked
    before = {run.info.run_id for role in ("search", "trial") for run in find(client, role)}
    sync_run(result.folder)
    assert {run.info.run_id for role in ("search", "trial") for run in find(client, role)} == before, (
        "nothing is doubled"
    )
    lost = find(client, "trial")[0]
    client.delete_run(lost.info.run_id)
    (parent,) = find(client, "search")
    sync_run(result.folder)
    check(result, client)
    client.delete_run(parent.info.run_id)
    for child in find(client, "trial"):
        client.delete_run(child.info.run_id)
    sync_run(result.folder)
    check(read_run(result.folder), client)


def test_ui_opens_on_the_view_of_the_run(tracked: tuple[SearchResult, MlflowClient]) -> None:
    result, client = tracked
    command = [sys.executable, "-m", "search.cli", "ui", str(result.folder.path), "--no-browser"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        url = line.split(": ", 1)[1].strip()
        base, _, fragment = url.partition("/#/")
        assert base.startswith("http://127.0.0.1:")
        assert f"viewStateShareKey={view_key(result.folder.search_id)}" in fragment
        experiment = fragment.split("/")[1]
        with urllib.request.urlopen(f"{base}/ajax-api/2.0/mlflow/experiments/get?experiment_id={experiment}") as answer:
            tags = {tag["key"]: tag["value"] for tag in json.load(answer)["experiment"]["tags"]}
        assert "deflate;" in tags[f"mlflow.sharedViewState.{view_key(result.folder.search_id)}"]
        (parent,) = find(client, "search")
        page = f"{base}/get-artifact?path=pareto/front.csv&run_uuid={parent.info.run_id}"
        with urllib.request.urlopen(page) as answer:
            assert b"accuracy" in answer.read()
    finally:
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=60)
    assert server.returncode in (0, 130), errors


@pytest.mark.usefixtures("ray_two_cpus")
def test_mlflow_that_is_away_is_one_warning(tiny: Any, runs: Path) -> None:
    heard: list[str] = []
    config = tiny(tracking={"enabled": True, "uri": "http://127.0.0.1:9"})
    result = run_search(config, runs=runs, say=heard.append)
    assert result.finished
    warnings = [text for text in heard if "MLflow" in text]
    assert len(warnings) == 1
    assert "paretoprune sync" in warnings[0]


def test_a_recorder_never_keeps_the_search_waiting(tmp_path: Path) -> None:
    heard: list[str] = []
    dense = Dense(macs=1000, params=10, accuracy=0.9)
    subject = Subject(name="waiting", search_id="waiting", runs=tmp_path, dense=dense, params={})
    tracker = Tracker(Tracking(uri="http://192.0.2.1:5000"), subject, warn=heard.append)  # an address nobody has
    item = measured(0, 0.5, 100)
    front = Front.of([item], dense_macs=1000)
    started = time.monotonic()
    for count in range(1000):
        tracker.evaluated(item, trouble=None, front=front, num_finished=count)
    assert time.monotonic() - started < 1


def test_failed_trials_are_shown_with_their_reason(tmp_path: Path) -> None:
    subject = Subject(
        name="failing", search_id="failing", runs=tmp_path, dense=Dense(macs=1000, params=10, accuracy=0.9), params={}
    )
    items = [measured(0, 0.5, 100), measured(1, 0, 100, status="failed")]
    front = Front.of(items, dense_macs=1000)
    experiment = sync(Tracking(), subject, front=front, measured=items, status="FINISHED")
    client = MlflowClient(tracking_uri=tracking_uri(Tracking(), runs=tmp_path))
    (failed,) = client.search_runs([experiment], "tags.status = 'failed'")
    assert failed.info.status == "FAILED"
    assert failed.data.tags["reason"] == "because"
