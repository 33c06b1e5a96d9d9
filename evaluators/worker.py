"""Evaluating candidates in one process: the network is built and the data placed once, then any number is measured."""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from evaluators.artifact import Preprocessing, save_slim
from evaluators.evaluation import Evaluation
from evaluators.proxy import Proxy, ProxySpec
from evaluators.rounds import between_by, prune_in_rounds, share_of
from evaluators.score import Score, accuracy
from evaluators.specs import TaskSpec
from evaluators.split import Splits
from evaluators.task import Task
from evaluators.train import NonFiniteLossError
from pruners import STEPS, Analysis, Evidence, Plan, count, slim
from pruners.step_budget import finish, plan_before_step
from pruners.timing import device_name
from spaces import Candidate, InfeasibleError, PlanError


class Evaluator:
    """Turns candidates into evaluations.

    The evaluation is a function of the candidate, the fidelity and the seed, bit by bit on a processor with the same
    number of threads.
    """

    def __init__(
        self, spec: TaskSpec, splits: Splits, analysis: Analysis, evidence: Evidence, ladder: Sequence[ProxySpec]
    ) -> None:
        """Build the dense network and place the data.

        Raises:
            UserError: network, data, device or a proxy can't be had as specified.
        """
        self.task = Task(spec, splits)
        self.dense = self.task.dense_model()
        self._device = f"{self.task.device.type}: {device_name(self.task.device)}"
        self._analysis = analysis
        self._evidence = evidence
        self._proxies = tuple(rung.build() for rung in ladder)

    def evaluate(self, candidate: Candidate, *, fidelity: int, seed: int) -> Evaluation:
        """Measure `candidate` with the proxy number `fidelity`; see `measured`."""
        return self.measured(candidate, fidelity=fidelity, seed=seed)[0]

    def measured(self, candidate: Candidate, *, fidelity: int, seed: int) -> tuple[Evaluation, nn.Module | None]:
        """Measure `candidate` with the proxy number `fidelity`; the network as the proxy left it comes too.

        An impossible plan, a loss that is not finite and too little memory are the candidate's failures and come back
        as such; every other error is a mistake of ours or of the user's and is raised.
        """
        clock = _Clock()
        found: dict[str, Any]
        network: nn.Module | None = None
        try:
            found, network = self._measure(candidate, fidelity, seed, clock)
        except InfeasibleError as error:
            found = {"status": "infeasible", "reason": str(error)}
        except (PlanError, NonFiniteLossError) as error:
            found = {"status": "failed", "reason": str(error)}
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            found = {"status": "failed", "reason": f"out of memory: {next(iter(str(error).splitlines()), '')}"}
        if found["status"] != "complete" and self.task.device.type == "cuda":
            torch.cuda.empty_cache()
        record = {"fidelity": fidelity, "seed": seed, "device": self._device, **found}
        evaluation = Evaluation(seconds=clock.total(), timings=clock.parts, **record)
        return evaluation, network

    def build(self, candidate: Candidate, *, clock: "_Clock | None" = None) -> tuple[Plan, nn.Module]:
        """The plan of `candidate`, of one round, and its small network, with inherited weights, on the device.

        Raises:
            InfeasibleError: no network meets the budget.
            PlanError: the candidate can't be turned into a network.
        """
        clock = clock or _Clock()
        if candidate.rounds != 1:
            raise PlanError(f"a candidate of {candidate.rounds} rounds needs training between them: build_in_rounds")
        groups, evidence = self._analysis.groups, self._evidence
        with clock.part("plan"):
            plan = plan_before_step(candidate, self._analysis, evidence)
        with clock.part("slim"):
            small = slim(self.dense, groups, plan)
            small = finish(candidate, small, groups=groups, plan=plan, dense=self.dense, evidence=evidence)
        return plan, small.eval()

    def build_in_rounds(
        self, candidate: Candidate, proxy: Proxy, *, generator: torch.Generator
    ) -> tuple[Plan, nn.Module]:
        """The plan and the small network of `candidate`, trained between its cuts as `proxy` would train it.

        Raises:
            InfeasibleError, PlanError, NonFiniteLossError: as `evaluators.rounds.prune_in_rounds`.
        """
        return prune_in_rounds(
            candidate,
            self.dense,
            self.task,
            analysis=self._analysis,
            between=between_by(proxy, self.task, generator=generator, teacher=self.dense),
            generator=generator,
            evidence=self._evidence,
        )

    def files_of(self, network: nn.Module) -> dict[str, bytes]:
        """What `save_slim` writes of a network that was measured here."""
        with TemporaryDirectory() as folder:
            task = self.task
            save_slim(
                folder,
                network,
                task.spec.model,
                num_classes=task.num_classes,
                example=task.example.cpu(),
                preprocessing=Preprocessing.of(task),
            )
            return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

    def dense_score(self) -> Score:
        """The dense network on the search split: what candidates are compared with."""
        return accuracy(self.dense, self.task.search)

    def _measure(
        self, candidate: Candidate, fidelity: int, seed: int, clock: "_Clock"
    ) -> tuple[dict[str, Any], nn.Module]:
        proxy = share_of(self._proxies[fidelity], candidate.rounds)
        generator = candidate_generator(candidate, seed=seed)
        if candidate.rounds > 1:
            with clock.part("rounds"):
                plan, small = self.build_in_rounds(candidate, proxy, generator=generator)
        else:
            plan, small = self.build(candidate, clock=clock)
        costs = self._costs(candidate, plan, small)
        with clock.part("proxy"):
            score = proxy.run(small, self.task, generator=generator, teacher=self.dense)
        if not math.isfinite(score.loss):
            raise NonFiniteLossError(f"the loss on the search split is not finite: {score.loss}")
        return {"status": "complete", "accuracy": score.accuracy, "loss": score.loss, **costs}, small

    def _costs(self, candidate: Candidate, plan: Plan, small: nn.Module) -> dict[str, Any]:
        """MACs, thop's figure and parameters: from the cost model, or counted where a step has changed the network.

        With a latency table milliseconds too, of the plan's widths: the table knows no steps.
        """
        latency = self._analysis.latency
        predicted = None if latency is None else float(latency.predict(plan.counts(self._analysis.groups))[0])
        return {**self._counts(candidate, plan, small), "latency_ms": predicted}

    def _counts(self, candidate: Candidate, plan: Plan, small: nn.Module) -> dict[str, int]:
        if candidate.step is not None and not getattr(STEPS.entry(candidate.step.name).target, "keeps_cost", False):
            counts = count(small, self.task.example)
            return {"macs": counts.macs, "thop_macs": counts.thop_macs, "params": counts.params}
        cost, kept = self._analysis.cost, plan.counts(self._analysis.groups)
        figures = {"macs": cost.macs(kept), "thop_macs": cost.thop(kept), "params": cost.params(kept)}
        return {name: int(value[0]) for name, value in figures.items()}


def candidate_generator(candidate: Candidate, *, seed: int) -> torch.Generator:
    """The generator, on the processor, of everything random in an evaluation of `candidate`."""
    digest = hashlib.sha256(f"{seed}/{candidate.key}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory was short, on a GPU or on the processor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


class _Clock:
    """Wall-clock seconds by name."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._started = time.perf_counter()

    def total(self) -> float:
        """Since the clock was made."""
        return time.perf_counter() - self._started

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is inside."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = time.perf_counter() - started
