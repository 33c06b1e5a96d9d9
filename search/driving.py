"""Everything of a run that needs workers: the search, then the front's training, then random search beside it."""

from pathlib import Path

import torch

from search.baseline import random_loop
from search.finals import FinalLoop
from search.loop import SearchLoop
from search.opening import plan_key
from search.prepare import Prepared, Say
from search.recipes import final_ladder, final_recipe
from search.run_folder import RunFolder
from search.trained import TestAccuracy, TrainedNetworks


def drive_all(folder: RunFolder, prepared: Prepared, loop: SearchLoop, *, say: Say) -> None:
    """Do what is left of a run, on Ray; nothing is started where nothing is left."""
    final = _final_loop(folder, prepared, loop)
    rival = random_loop(loop.study, prepared, plan_key(prepared)) if prepared.config.baseline else None
    if loop.finished and final.finished and (rival is None or rival.finished):
        return
    say("starting workers")
    from search.runtime.driver import drive
    from search.runtime.payload import Payload
    from search.runtime.session import ray_session
    from search.runtime.shared import SharedSplits

    config = prepared.config
    on_cluster = config.workers.address is not None and config.device != "cpu"
    use_gpu = prepared.task.device.type == "cuda" or on_cluster
    with ray_session(config.workers, use_gpu=use_gpu) as slots:
        payload = Payload(
            task=prepared.spec,
            splits=SharedSplits.of(prepared.splits),
            analysis=prepared.analysis,
            evidence=prepared.evidence,
            ladder=final_ladder(config),
            final=final.fidelity,
            seed=config.seed,
            threads=slots.cpus,
            timeout_seconds=config.workers.timeout_seconds,
            hangs=str(folder.troubles),
            weights=_weights(prepared) if config.workers.address is not None else None,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        drive(loop, payload, slots=slots, max_failures=config.workers.max_failures, folder=folder.ray)
        if loop.finished and not final.finished:
            say("training the front")
            drive(final, payload, slots=slots, max_failures=config.workers.max_failures, folder=folder.ray)
        if rival is not None and loop.finished and final.finished:
            say(f"measuring {config.baseline} random candidates, for comparison")
            drive(rival, payload, slots=slots, max_failures=config.workers.max_failures, folder=folder.ray)
            if rival.stopped is not None:
                say(f"warning: random search stopped: {rival.stopped}")


def _final_loop(folder: RunFolder, prepared: Prepared, loop: SearchLoop) -> FinalLoop:
    config = prepared.config
    networks = TrainedNetworks(path=folder.trained, recipe=final_recipe(config), seed=config.seed)
    return FinalLoop(search=loop, count=config.train_front, test=TestAccuracy(networks, prepared))


def _weights(prepared: Prepared) -> bytes | None:
    """Content of the dense network's file: other machines of a cluster need not see the path."""
    path = prepared.spec.model.weights
    return None if path is None else Path(path).read_bytes()
