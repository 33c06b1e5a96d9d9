"""A run's loop as its study and configuration say: made anew, or gone on with."""

import hashlib
import json

from pruners.step_budget import plan_before_step
from search.anchors import anchors
from search.halving import Rungs
from search.loop import SearchLoop
from search.prepare import Prepared
from search.run_folder import RunFolder
from search.samplers import build_sampler
from search.study import PlanKey, SearchStudy, open_storage
from spaces import Candidate


def num_anchors(trials: int) -> int:
    """How many of so many trials go to known good points at most; the rest is the sampler's.

    A fifth: with more, samplers that learn are later where random draws end; with less, they end lower. Short searches
    see the defaults at five budgets if these are no more than a quarter.
    """
    return max(1, trials // 5, min(5, trials // 4))


def plan_key(prepared: Prepared) -> PlanKey:
    """Names the network of a candidate: equal keys, equal networks and so equal answers."""

    def key(candidate: Candidate) -> str:
        if candidate.rounds > 1:  # the plan on the dense network does not decide what training between cuts leads to
            return candidate.key
        plan = plan_before_step(candidate, prepared.analysis, prepared.evidence)
        rest = json.loads(candidate.to_json())
        text = json.dumps([plan.to_json(), rest["step"]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    return key


def open_loop(folder: RunFolder, prepared: Prepared) -> SearchLoop:
    """The loop on the run's study, which is made where it is missing; what a dead driver left is queued again."""
    config = prepared.config
    storage = open_storage(folder.storage(config))
    objective = config.latency.objective
    study = SearchStudy(storage, name=folder.name, space=prepared.space, dense=prepared.dense, with_latency=objective)
    # A sampler that starts again with its old seed would draw its old candidates again.
    seed = config.seed + len(study.study.get_trials(deepcopy=False))
    study.use_sampler(build_sampler(config.sampler, seed=seed), seed=seed)
    study.adopt_orphans()
    known = anchors(prepared.space, prepared.analysis, prepared.evidence)
    study.enqueue_anchors(known, limit=num_anchors(config.trials))
    return SearchLoop(
        study=study,
        plan_key=plan_key(prepared),
        trials=config.trials,
        num_rungs=len(config.ladder),
        rungs=Rungs(reduction=config.halving.reduction, similar=config.halving.similar),
        give_up_after=config.give_up_after,
        seed=config.seed,
        dense_macs=prepared.dense.macs,
        with_latency=objective,
    )
