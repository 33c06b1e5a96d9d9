"""MLflow's own web server on this machine, started small and ended whole."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable
from pathlib import Path

from search.tracking_sync import Place
from search.tracking_view import view_url
from spaces import UserError

_HOST = "127.0.0.1"
_STARTUP_SECONDS = 90
_ENVIRONMENT = {
    # With its job workers the server has ten processes and 2 GB; without them two and half a GB.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "1",
}


def serve(place: Place, *, port: int | None, browser: bool, say: Callable[[str], object]) -> None:
    """Show a run until the user interrupts; a run on a server that is up already only needs its address.

    Raises:
        UserError: the port is taken, or the server does not start.
    """
    if place.uri.startswith(("http://", "https://")):
        _show(place.uri, place, browser=browser, say=say)
        return
    port = port or _free_port()
    if not _is_free(port):
        raise UserError("--port", port, "is in use")
    base = f"http://{_HOST}:{port}"
    process = subprocess.Popen(
        _command(place, port),
        env={**os.environ, **_ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _wait(process, base)
        _show(base, place, browser=browser, say=say)
        say("Ctrl-C ends it.")
        process.wait()
    finally:
        _end(process)


def _command(place: Place, port: int) -> list[str]:
    artifacts = (Path(place.runs) / "mlartifacts").resolve()
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", place.uri, "--default-artifact-root", artifacts.as_uri()),
        *("--host", _HOST, "--port", str(port), "--workers", "1"),
    ]


def _show(base: str, place: Place, *, browser: bool, say: Callable[[str], object]) -> None:
    url = view_url(base, experiment_id=place.experiment_id, search_id=place.search_id)
    say(f"The Pareto front of {place.search_id}: {url}")
    if browser:
        webbrowser.open(url)


def _wait(process: "subprocess.Popen[bytes]", base: str) -> None:
    deadline = time.monotonic() + _STARTUP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    reason = "took too long to start"
    if process.poll() is not None and process.stderr is not None:
        lines = process.stderr.read().decode(errors="replace").strip().splitlines()
        reason = f"did not start: {lines[-1] if lines else 'no message'}"
    raise UserError("ui", None, f"the MLflow server {reason}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server with its children: ending it alone leaves them behind."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    """5000, MLflow's own, or any other that is free."""
    if _is_free(5000):
        return 5000
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
