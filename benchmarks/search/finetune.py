"""The second half: every chosen network gets the same fine-tuning and is measured on the test split, once per seed.

It needs torch, torchvision and safetensors, and the packages `pruners`, `evaluators` and `spaces` alone, so it also
runs on a GPU machine that has none of the searchers: OUT/networks, the dense weights and the data are all it reads.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.search.networks import FOLDER, Chosen, Subject, read_chosen
from benchmarks.search.rows import DENSE, RUNS, Protocol, Run
from benchmarks.tables import append_row, read_rows
from evaluators.specs import TaskSpec
from evaluators.task import Task, load_splits, load_test
from evaluators.train import accuracy, finetune, recalibrate
from pruners import analyse

Done = dict[tuple[str, str, str, int], Run]
"""By contender, budget, protocol and seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a process needs to start."""

    out: Path
    task: TaskSpec
    protocol: Protocol
    threads: int


def run(options: argparse.Namespace) -> None:
    """Fine-tune whatever has no row yet and append the rows, each as soon as it is measured.

    Raises:
        UserError: nothing was chosen, or the data is not there.
    """
    networks, path = options.out / FOLDER, options.out / RUNS
    subject = Subject.read(networks)
    protocol = protocol_of(options)
    done = {(r.contender, r.budget, r.protocol, r.seed): r for r in read_rows(path, kind=Run)}
    waiting = [c for c in wanted(read_chosen(networks), options) if not c.reason]
    dense = Chosen(contender=DENSE, budget="1", budget_macs=subject.dense_macs, kept={})
    pairs = [(dense, 0), *((chosen, seed) for seed in range(options.seeds) for chosen in waiting)]
    pairs = [(c, s) for c, s in pairs if (c.contender, c.budget, protocol.text, s) not in done]
    job = Job(out=options.out, task=placed(subject.task, options, protocol), protocol=protocol, threads=options.threads)
    known = {(r.key, r.seed): r for r in done.values() if r.protocol == protocol.text}
    for number, row in enumerate(measured(job, pairs, known, jobs=options.jobs), start=1):
        append_row(row, path)
        place = f"{number}/{len(pairs)}  {row.contender:17s} {row.budget:12s} seed {row.seed}"
        print(f"{place}  {row.accuracy:.4f}  {row.finetune_seconds:.0f} s", flush=True)


def wanted(chosen: Sequence[Chosen], options: argparse.Namespace) -> list[Chosen]:
    """Those of the asked contenders and budgets."""
    contenders = options.contenders.split(",") if options.contenders else {c.contender for c in chosen}
    budgets = options.budgets.split(",") if options.budgets else {c.budget for c in chosen}
    return [c for c in chosen if c.contender in contenders and c.budget in budgets]


def protocol_of(options: argparse.Namespace) -> Protocol:
    """The protocol that was asked for."""
    return Protocol(
        stages=Protocol.parse_stages(options.schedule),
        shape=options.shape,
        batch_size=options.batch_size,
        num_train=options.num_train,
        precision=options.precision,
    )


def placed(spec: TaskSpec, options: argparse.Namespace, protocol: Protocol) -> TaskSpec:
    """The task on this machine: its paths may differ from those of the first half."""
    params: dict[str, Any] = {**spec.data.params, "num_train": protocol.num_train or spec.data.params.get("num_train")}
    params = {name: value for name, value in params.items() if value is not None}
    if options.data:
        params["path"] = options.data
    model = replace(spec.model, weights=options.weights) if options.weights else spec.model
    return replace(spec, model=model, data=replace(spec.data, params=params), device=options.device)


def measured(
    job: Job, pairs: Sequence[tuple[Chosen, int]], known: dict[tuple[str, int], Run], *, jobs: int
) -> Iterator[Run]:
    """The rows; a network that several have chosen is trained once per seed."""
    networks = job.out / FOLDER
    first: dict[tuple[str, int], tuple[Chosen, int]] = {}
    copies: dict[tuple[str, int], list[Chosen]] = {}
    for chosen, seed in pairs:
        key = (chosen.key(networks), seed)
        if key in known or key in first:
            copies.setdefault(key, []).append(chosen)
        else:
            first[key] = (chosen, seed)
    for key in [key for key in copies if key in known]:
        yield from (same_network(known[key], chosen) for chosen in copies.pop(key))
    for row in trained(job, list(first.values()), jobs=jobs):
        yield row
        yield from (same_network(row, chosen) for chosen in copies.pop((row.key, row.seed), ()))


def same_network(row: Run, chosen: Chosen) -> Run:
    """The row of another contender that has chosen the very same network."""
    versions = f"{row.versions.partition(';')[0]}; {chosen.version}"
    return replace(row, **facts_of(chosen), versions=versions)


def facts_of(chosen: Chosen) -> dict[str, Any]:
    """What a row takes over from the choice."""
    return {
        "contender": chosen.contender,
        "budget": chosen.budget,
        "budget_macs": chosen.budget_macs,
        "search_seconds": round(chosen.seconds, 2),
        "search_cores": chosen.cores,
        "evaluations": chosen.evaluations,
    }


def trained(job: Job, pairs: Sequence[tuple[Chosen, int]], *, jobs: int) -> Iterator[Run]:
    """The rows of different networks, in the order in which they are finished."""
    if jobs == 1:
        start(job)
        yield from (one(chosen, seed) for chosen, seed in pairs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=start, initargs=(job,)) as pool:
        for future in as_completed([pool.submit(one, chosen, seed) for chosen, seed in pairs]):
            yield future.result()


class Finetuner:
    """The data and the dense network of one process."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job.threads)
        self.job = job
        self.networks = job.out / FOLDER
        self.subject = Subject.read(self.networks)
        self.task = Task(job.task, load_splits(job.task))
        self.test = load_test(job.task).to(self.task.device)
        self.dense = self.task.dense_model()
        self.analysis = analyse(self.dense, self.task.example, rules=self.subject.rules)

    def run(self, chosen: Chosen, seed: int) -> Run:
        """One row. The order of the images follows from the seed alone, so that contenders meet the same batches."""
        started = time.perf_counter()
        generator = torch.Generator().manual_seed(seed)
        model = chosen.network(self.dense, self.analysis.groups, self.networks)
        if chosen.contender != DENSE:
            recalibrate(model, self.task.train, num_samples=self.job.protocol.recalibration, generator=generator)
        before = accuracy(model, self.task.search).accuracy
        if chosen.contender != DENSE:
            for recipe in self.job.protocol.recipes:
                finetune(model, self.task, recipe=recipe, generator=generator)
        return Run(
            **facts_of(chosen),
            network=self.job.task.model.name,
            seed=seed,
            protocol=self.job.protocol.text,
            macs=chosen.macs or self.subject.dense_macs,
            params=chosen.params or self.subject.dense_params,
            dense_macs=self.subject.dense_macs,
            accuracy=accuracy(model, self.test).accuracy,
            recalibrated=before,
            key=chosen.key(self.networks),
            finetune_seconds=round(time.perf_counter() - started, 2),
            device=device_name(self.task.device),
            versions=f"torch {torch.__version__}; {chosen.version}",
        )


_process: list[Finetuner] = []
"""The finetuner of this process."""


def start(job: Job) -> None:
    """Prepare a process."""
    _process[:] = [Finetuner(job)]


def one(chosen: Chosen, seed: int) -> Run:
    """One row, in a prepared process."""
    return _process[0].run(chosen, seed)


def device_name(device: torch.device) -> str:
    """What the table says of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this half."""
    parser.add_argument("--contenders", default="", help="default: all that were chosen")
    parser.add_argument("--budgets", default="", help="such as 0.5,fastnas@0.5; default: all that were chosen")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to this, without it")
    parser.add_argument("--schedule", default="200@0.01,80@0.001", help="STEPS@LR of each stage")
    parser.add_argument("--shape", default="constant", choices=("constant", "cosine"), help="within a stage")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--num-train", type=int, help="train images in use; default: all, as the configuration says")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=1, help="of each process; set OMP_NUM_THREADS alike")
    parser.add_argument("--weights", help="the dense weights on this machine")
    parser.add_argument("--data", help="the data's folder on this machine")
