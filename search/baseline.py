"""Random search beside a search: the yardstick that the proxy report shows, at equal evaluations."""

from search.config import Plugin
from search.halving import Rungs
from search.loop import SearchLoop
from search.prepare import Prepared
from search.samplers import build_sampler
from search.study import PlanKey, SearchStudy, random_study

_FAR = 1_000_003
"""Between the search's seeds, which grow by one with every trial, and the baseline's."""


def random_loop(search: SearchStudy, prepared: Prepared, plan_key: PlanKey) -> SearchLoop:
    """A loop of `config.baseline` independent draws from the run's space, without anchors, on its ladder.

    It records in a study of its own beside the search's, so that neither the sampler nor the front ever sees them.
    """
    config = prepared.config
    study = SearchStudy(
        search.storage,
        name=random_study(search.study.study_name),
        space=prepared.space,
        dense=prepared.dense,
        with_latency=config.latency.objective,
    )
    seed = config.seed + _FAR + len(study.study.get_trials(deepcopy=False))
    study.use_sampler(build_sampler(Plugin(name="random"), seed=seed), seed=seed)
    study.adopt_orphans()
    return SearchLoop(
        study=study,
        plan_key=plan_key,
        trials=config.baseline,
        num_rungs=len(config.ladder),
        rungs=Rungs(reduction=config.halving.reduction, similar=config.halving.similar),
        give_up_after=config.give_up_after,
        seed=config.seed,
        dense_macs=prepared.dense.macs,
        with_latency=config.latency.objective,
    )
