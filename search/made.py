"""Networks that are trained before they are cut, or between cuts: a regime, rounds, or both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from evaluators.recipe import Recipe
from evaluators.regime import Regime
from evaluators.registries import REGIMES
from evaluators.rounds import prune_in_rounds
from evaluators.train import finetune
from evaluators.while_training import prune_while_training
from evaluators.worker import candidate_generator
from pruners import Plan
from search.config import Plugin
from search.prepare import Prepared, Say, group_rules, quiet
from spaces import Candidate, UserError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A pruned network that is ready for its fine-tuning.

    Attributes:
        candidate: what it was made from.
        plan: kept channels of the dense network's groups, over all rounds.
        network: on the task's device.
        before: what came before the fine-tuning, for the report.
        trained: whether the fine-tuning is done, so that nothing is left but to test and write it.
    """

    candidate: Candidate
    plan: Plan
    network: nn.Module
    before: Mapping[str, Any]
    trained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeTraining:
    """A regime and how long it trains."""

    plugin: Plugin
    recipe: Recipe

    def build(self) -> Regime:
        """The regime."""
        return channel_regime(self.plugin)


def channel_regime(plugin: Plugin) -> Regime:
    """The regime that a user named.

    Raises:
        UserError: there is none of that name, a hyper-parameter is wrong, or it masks single weights.
    """
    regime: Regime = REGIMES.build(plugin.name, plugin.params, key="--regime")
    if regime.granularity != "channels":
        structured = [entry.name for entry in REGIMES if entry.target.granularity == "channels"]
        rule = "masks single weights, so no network gets smaller: see `paretoprune mask`; regimes of channels:"
        raise UserError("--regime", plugin.name, f"{rule} {', '.join(structured)}")
    return regime


def make(
    prepared: Prepared,
    candidate: Candidate,
    *,
    training: RegimeTraining | None = None,
    recipe: Recipe,
    say: Say = quiet,
) -> Made:
    """Train the dense network under a regime, then cut it in `candidate.rounds` rounds.

    Args:
        prepared: data, dense network and groups; its evidence is not used, because the weights change.
        candidate: what to make.
        training: before the first cut; None cuts the dense network as it is.
        recipe: of the training between two cuts.
        say: hears of each stage.

    Raises:
        UserError: the regime suits neither the network nor the recipe.
        PlanError: the candidate can't be turned into a network.
        NonFiniteLossError: a training diverged.
    """
    generator = candidate_generator(candidate, seed=prepared.config.seed)
    network = prepared.model
    if training is not None:
        say(f"training under {training.plugin.name}")
        network = prune_while_training(
            training.build(),
            network,
            prepared.task,
            candidate=candidate,
            recipe=training.recipe,
            generator=generator,
            rules=group_rules(prepared.config),
        )
    say("cutting the network" if candidate.rounds == 1 else f"cutting the network in {candidate.rounds} rounds")
    plan, small = prune_in_rounds(
        candidate,
        network,
        prepared.task,
        analysis=prepared.analysis,
        between=lambda cut: finetune(cut, prepared.task, recipe=recipe, generator=generator),
        generator=generator,
    )
    return Made(candidate=candidate, plan=plan, network=small, before=_before(candidate, training, recipe))


def _before(candidate: Candidate, training: RegimeTraining | None, recipe: Recipe) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if training is not None:
        regime = {"name": training.plugin.name, "params": asdict(training.build())}  # type: ignore[call-overload]
        found["regime"] = {**regime, "recipe": asdict(training.recipe)}
    if candidate.rounds > 1:
        found["rounds"] = {"number": candidate.rounds, "recipe": asdict(recipe)}
    return found
