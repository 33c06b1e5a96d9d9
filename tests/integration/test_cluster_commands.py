"""The commands of docker/compose.yaml, word by word, make a cluster that a search runs on; no containers needed.

They run in network, mount and process namespaces of their own, so that nothing listens on the machine's interfaces and
nothing is left behind.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
HERE = Path(__file__).parent
NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def namespaces() -> list[str] | None:
    """The command that makes them, as root or as the root of a user namespace; None where neither is allowed."""
    if shutil.which("unshare") is None:
        return None
    for command in (NAMESPACES, [*NAMESPACES, "--user", "--map-root-user"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return None


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    isolated = namespaces()
    if isolated is None:
        pytest.skip("this machine allows no namespaces")
    folder = tmp_path_factory.mktemp("cluster")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*isolated, sys.executable, HERE / "cluster.py", COMPOSE, folder, secrets.token_hex(32), "--"]
    done = subprocess.run(
        [*command, sys.executable, HERE / "cluster_search.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    assert found["search"] == 0, done.stdout + done.stderr
    return found


def test_the_worker_joins_the_head(facts: dict[str, object]) -> None:
    assert facts["nodes"] == 2


def test_a_search_runs_on_both_and_mlflow_sees_it(facts: dict[str, object]) -> None:
    assert facts["roles"] == ["search", *["trial"] * 4]


def test_a_stranger_without_the_token_is_refused(facts: dict[str, object]) -> None:
    assert "InvalidAuthToken" in str(facts["stranger"])


def test_nothing_but_mlflow_is_published_and_that_on_this_machine_only() -> None:
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:5000:5000"]
