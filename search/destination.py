"""A folder that is either complete or not there."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spaces import UserError


def check_destination(out: Path, *, ours: Sequence[str]) -> None:
    """Refuse a folder that replacing would take something from.

    Args:
        out: where the result goes; it need not exist.
        ours: names of files that an earlier result may have left, and that go with it.

    Raises:
        UserError: there is a file of that name, or the folder holds anything else.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError("--out", str(out), "is a file; name a folder")
    foreign = sorted(path.name for path in out.iterdir() if path.name not in ours)
    if foreign:
        shown = ", ".join(foreign[:3]) + (" and others" if len(foreign) > 3 else "")
        raise UserError(
            "--out", str(out), f"holds files that are not of an export ({shown}); name a new or empty folder"
        )


@contextmanager
def complete_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place at the end, or goes where anything is raised."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    staging, old = (out.with_name(f".{out.name}.{kind}-{os.getpid()}") for kind in ("partial", "old"))
    staging.mkdir()
    try:
        yield staging
        for path in staging.iterdir():  # safetensors writes files that only their owner may read
            path.chmod(staging.stat().st_mode & 0o666)
        if out.exists():
            out.rename(old)
        staging.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if old.exists() and not out.exists():
            old.rename(out)
