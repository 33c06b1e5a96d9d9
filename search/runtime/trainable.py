"""The worker: one warm process per slot, re-used for every trial."""

import faulthandler
import math
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from ray import tune

from evaluators.worker import Evaluator
from search.runtime.payload import Payload
from spaces import Candidate


class CandidateTrial(tune.Trainable):  # type: ignore[misc]
    """Evaluates one candidate, one rung of the ladder per step. The driver decides when it ends."""

    def setup(self, config: dict[str, Any], *, payload: Payload) -> None:
        """Keep what all trials share; the evaluator is built in the first step, where errors are answers."""
        self._payload = payload
        self._evaluator: Evaluator | None = None
        _use_threads(payload.threads)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial without a new process."""
        self._candidate = Candidate.from_json(new_config["candidate"])
        self._fidelity = int(new_config["first"])
        return True

    def step(self) -> dict[str, Any]:
        """One evaluation as JSON, or the traceback of what went wrong: a crash is an answer, not the worker's end."""
        payload = self._payload
        with _Watchdog(payload.timeout_seconds, folder=payload.hangs):
            try:
                if self._evaluator is None:
                    self._evaluator = payload.build()
                evaluation, network = self._evaluator.measured(
                    self._candidate, fidelity=self._fidelity, seed=payload.seed
                )
            except Exception as error:
                reason = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
                return {"crash": reason, "traceback": traceback.format_exc(), "fidelity": self._fidelity}
        self._fidelity += 1
        answer: dict[str, Any] = {"evaluation": evaluation.to_json(), "fidelity": evaluation.fidelity}
        if network is not None and evaluation.fidelity >= payload.final:
            # Pairs, because Tune flattens dictionaries.
            answer["files"] = list(self._evaluator.files_of(network).items())
        return answer


class _Watchdog:
    """Ends this process when one step takes too long: a worker that hangs would be waited for for ever.

    The stack of the hang is written where the driver's run folder is visible, else to a temporary file.
    """

    def __init__(self, timeout_seconds: float | None, *, folder: str) -> None:
        self._timeout = timeout_seconds
        place = Path(folder) if Path(folder).is_dir() else Path(tempfile.gettempdir())
        self._path = place / f"hang-{os.getpid()}.txt"

    def __enter__(self) -> None:
        if self._timeout is not None:
            self._file = self._path.open("w", encoding="utf-8")
            faulthandler.dump_traceback_later(self._timeout, exit=True, file=self._file)

    def __exit__(self, *_: object) -> None:
        if self._timeout is not None:
            faulthandler.cancel_dump_traceback_later()
            self._file.close()
            self._path.unlink(missing_ok=True)


def _use_threads(count: float) -> None:
    """Ray sets OMP_NUM_THREADS only where the user's shell has not."""
    threads = max(1, math.floor(count))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
