"""One pruned network without a search: perhaps a regime, perhaps rounds, then the same export as after a search."""

from dataclasses import replace
from pathlib import Path

from evaluators.recipe import Recipe
from search.config import Config, Plugin
from search.destination import check_destination
from search.export import OURS, chosen_formats, export_network
from search.export_formats import FORMATS
from search.made import Made, RegimeTraining, channel_regime, make
from search.prepare import Say, prepare, quiet
from search.recipes import final_recipe
from search.report import ExportReport
from spaces import Candidate, UserError


def prune_network(
    config: Config,
    *,
    out: Path,
    regime: Plugin | None = None,
    regime_epochs: float | None = None,
    rounds: int = 1,
    formats: frozenset[str] | None = None,
    say: Say = quiet,
) -> ExportReport:
    """Prune the configuration's network with the first allocator, method and, where there is any, step of its space.

    Args:
        config: with one budget; its `finetune` is the recipe of every training here.
        out: folder to write.
        regime: what the dense network is trained under before the first cut.
        regime_epochs: of that training, in the place of the recipe's.
        rounds: cuts, with training between them.
        formats: names in `FORMATS`; None writes all.
        say: hears of each stage.

    Raises:
        UserError: a mistake in the configuration or the arguments.
        PlanError: the network can't be made.
        NonFiniteLossError: a training diverged.
    """
    check_destination(out, ours=OURS)
    formats = chosen_formats(FORMATS if formats is None else formats)
    chosen = final_recipe(config)
    training = _training(regime, chosen, epochs=regime_epochs)
    prepared = prepare(config, say=say)
    candidate = replace(next(prepared.space.anchors()), rounds=rounds)
    wanted: Candidate | Made = candidate
    if training is not None or rounds > 1:
        wanted = make(prepared, candidate, training=training, recipe=chosen, say=say)
    return export_network(
        prepared=prepared,
        candidate=wanted,
        seed=config.seed,
        recipe=chosen,
        out=out,
        formats=formats,
        progress=say,
    )


def _training(regime: Plugin | None, base: Recipe, *, epochs: float | None) -> RegimeTraining | None:
    """The regime's training; without distillation, since the network would teach itself."""
    if regime is None:
        if epochs is not None:
            raise UserError("--regime-epochs", epochs, "needs a --regime")
        return None
    channel_regime(regime)
    recipe = replace(base, distill_weight=0.0)
    if epochs is None:
        return RegimeTraining(plugin=regime, recipe=recipe)
    if not epochs > 0:
        raise UserError("--regime-epochs", epochs, "must be positive")
    return RegimeTraining(plugin=regime, recipe=replace(recipe, steps=None, epochs=epochs))
