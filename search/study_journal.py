"""A journal file that takes many operations at once."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.storages.journal import JournalFileBackend


class BatchingJournal(JournalFileBackend):
    """Optuna's journal file, with one lock and one flush to disk for all operations of a batch.

    Optuna writes a line for every parameter of a trial and waits for the disk each time: 60 parameters, 60 waits. Only
    one process may write the file (`search.journal.sole_driver`), so within a batch nothing else needs to be read.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = path
        self._pending: list[dict[str, Any]] | None = None
        self._first: int | None = None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write what is logged inside when it ends, in any way. The storage must have read the whole file before."""
        self._pending, self._first = [], None
        try:
            yield
        finally:
            pending, self._pending = self._pending, None
            if pending:
                super().append_logs(pending)
            if pending and self._first is not None:
                # the storage goes on reading here, and need not look for the place
                self._log_number_offset[self._first + len(pending)] = os.path.getsize(self._path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write the operations, or keep them for the end of the batch."""
        if self._pending is None:
            super().append_logs(logs)
        else:
            self._pending.extend(logs)

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The operations from this number on; those of the batch follow those of the file."""
        if self._pending is None:
            yield from super().read_logs(log_number_from)
            return
        if self._first is None:
            self._first = log_number_from
        yield from self._pending[log_number_from - self._first :]
