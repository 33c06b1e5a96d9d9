"""Starting Ray on this machine alone, or joining a cluster, and ending it again."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from search.config import Workers
from spaces import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How many workers run at a time, and what each holds."""

    count: int
    cpus: float
    gpus: float


@contextmanager
def ray_session(workers: Workers, *, use_gpu: bool) -> Iterator[Slots]:
    """Ray, ready for `Slots.count` workers. A Ray that the process had before is used and left running.

    Args:
        workers: what the user asked for.
        use_gpu: whether evaluations run on GPUs.

    Raises:
        UserError: the cluster does not answer, or no worker fits in it.
    """
    ours = not ray.is_initialized()
    if ours and workers.address is not None:
        _join(workers.address)
    elif ours:
        start_local(workers, use_gpu=use_gpu)
    try:
        yield _slots(workers, use_gpu=use_gpu)
    finally:
        if ours:
            ray.shutdown()


def start_local(workers: Workers, *, use_gpu: bool) -> None:
    """Ray on this machine alone, listening to nobody else."""
    # Without it Ray listens on every interface; it is read once, when Ray starts.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    cpus = max(available_cpus(), math.ceil((workers.count or 1) * workers.cpus))
    ray.init(
        address="local",
        num_cpus=cpus,
        num_gpus=None if use_gpu else 0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _join(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError("workers.address", address, str(error).splitlines()[0]) from error


def _slots(workers: Workers, *, use_gpu: bool) -> Slots:
    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    if use_gpu and workers.gpus is None:
        # One worker per GPU unless more are asked for; then they share.
        share = min(1.0, gpus / workers.count) if workers.count else 1.0
    else:
        share = workers.gpus or 0.0
    fits = int(cpus / workers.cpus)
    if share > 0:
        # Ray never splits a fraction over two GPUs.
        fits = min(fits, int(gpus) * int(1 / share) if share < 1 else int(gpus / share))
    if fits < 1:
        rule = f"no worker fits: the machine or cluster has {cpus:g} CPUs and {gpus:g} GPUs for Ray"
        raise UserError("workers", f"cpus: {workers.cpus:g}, gpus: {share:g}", rule)
    return Slots(count=min(workers.count or fits, fits), cpus=workers.cpus, gpus=share)


def available_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
