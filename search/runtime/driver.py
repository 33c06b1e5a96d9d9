"""Running a search loop to its end on Ray Tune."""

import logging
import time
from pathlib import Path

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig

from search.finals import FinalLoop
from search.loop import SearchLoop
from search.runtime.payload import Payload
from search.runtime.scheduler import LadderScheduler
from search.runtime.searcher import StudySearcher
from search.runtime.session import Slots
from search.runtime.trainable import CandidateTrial


def drive(loop: SearchLoop | FinalLoop, payload: Payload, *, slots: Slots, max_failures: int, folder: Path) -> None:
    """Evaluate until the loop has finished or the user interrupts.

    Args:
        loop: decides and records.
        payload: shared by all workers; goes into the object store once.
        slots: how many workers, and their share of the machine.
        max_failures: how often a trial whose worker died is tried again.
        folder: for Tune's own bookkeeping, which nothing reads back.
    """
    if loop.finished:
        return
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is in the study, with its reason
    searcher = StudySearcher(loop)
    trainable = tune.with_resources(
        tune.with_parameters(CandidateTrial, payload=payload), {"cpu": slots.cpus, "gpu": slots.gpus}
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=LadderScheduler(searcher),
            num_samples=-1,
            max_concurrent_trials=slots.count,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=str(folder.resolve()),
            verbose=0,
            failure_config=FailureConfig(max_failures=max_failures),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    tuner.fit()
