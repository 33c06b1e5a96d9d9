"""Runs the services of a compose file without containers; see test_cluster_commands.py.

As a script, inside namespaces of its own: python cluster.py COMPOSE FOLDER TOKEN -- COMMAND...
"""

import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

STARTUP_SECONDS = 150


class Services:
    """The services of a compose file, as processes of this machine."""

    def __init__(self, compose: Path, folder: Path, *, token: str) -> None:
        self._services: dict[str, Any] = yaml.safe_load(compose.read_text(encoding="utf-8"))["services"]
        self._folder = folder
        self._token = token

    @property
    def hosts(self) -> str:
        """Lines of /etc/hosts: in the cluster's network every service is reached by its name."""
        return "".join(f"127.0.0.1 {name}\n" for name in ["localhost", *self._services])

    def environment(self, name: str) -> dict[str, str]:
        """What compose would set, with the token filled in, on top of a small environment."""
        own = {
            key: re.sub(r"\$\{RAY_AUTH_TOKEN:\?[^}]*\}", self._token, value) for key, value in self._own(name).items()
        }
        kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if key in os.environ}
        return {**kept, "HOME": str(self._folder), **own}

    @contextmanager
    def up(self) -> Iterator[None]:
        """Inside, every service runs and is healthy."""
        waiting = dict(self._services)
        with ExitStack() as stack:
            while waiting:
                name = next(
                    n for n, service in waiting.items() if not set(service.get("depends_on", ())) & set(waiting)
                )
                stack.enter_context(self._running(name))
                del waiting[name]
            yield

    @contextmanager
    def _running(self, name: str) -> Iterator[None]:
        place = self._folder / name
        place.mkdir()
        with open(self._folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                self._services[name]["command"],
                env=self.environment(name),
                cwd=place,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(name, process)
            yield
        finally:
            process.kill()  # the namespace takes the children with it
            process.wait()

    def _wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        test = self._services[name].get("healthcheck", {}).get("test")
        deadline = time.monotonic() + STARTUP_SECONDS
        while test is not None:
            assert process.poll() is None, f"{name} ended: {(self._folder / f'{name}.log').read_text()}"
            assert time.monotonic() < deadline, f"{name} is not healthy: {(self._folder / f'{name}.log').read_text()}"
            if subprocess.run(test[1:], env=self.environment(name), capture_output=True, check=False).returncode == 0:
                return
            time.sleep(1)

    def _own(self, name: str) -> Mapping[str, str]:
        environment: Mapping[str, str] = self._services[name].get("environment", {})
        return environment


def isolate(hosts: str, folder: Path) -> None:
    """In a fresh network and mount namespace: loopback up, the services' names known, Ray's folder our own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        up_and_running = struct.pack("16sh", b"lo", 0x1 | 0x40)
        fcntl.ioctl(sock.fileno(), 0x8914, up_and_running)  # SIOCSIFFLAGS
    (folder / "hosts").write_text(hosts)
    subprocess.run(["mount", "--bind", folder / "hosts", "/etc/hosts"], check=True)
    Path("/tmp/ray").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/tmp/ray"], check=True)


def main() -> None:
    compose, folder, token, _, *command = sys.argv[1:]
    services = Services(Path(compose), Path(folder), token=token)
    isolate(services.hosts, Path(folder))
    with services.up():
        done = subprocess.run(command, env=services.environment("ray-head"), cwd=folder, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
