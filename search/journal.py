"""Keeping the embedded study file usable after any end: one driver, no torn last line, no stale lock."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spaces import UserError


@contextmanager
def sole_driver(folder: Path) -> Iterator[None]:
    """Hold the run's lock; the system gives it back however the process ends.

    Raises:
        UserError: another process is searching in this run.
    """
    with open(folder / "driver.lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise UserError("run", folder.name, f"is being searched by process {owner}") from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def repair_journal(path: Path) -> int:
    """Cut off a last line that a crash left unfinished, and remove the lock of a process that died holding it.

    Only the sole driver may call it.

    Returns:
        Bytes cut off.
    """
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if not path.exists():
        return 0
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            step = min(4096, end)
            file.seek(end - step)
            newline = file.read(step).rfind(b"\n")
            if newline >= 0:
                end = end - step + newline + 1
                break
            end -= step
        file.truncate(end)
        return size - end
