"""Everybody who chooses widths. A new contender is one line here, or a function of `setting.Contender`."""

from collections.abc import Mapping

from benchmarks.search.fastnas import NAME as FASTNAS
from benchmarks.search.fastnas import fastnas
from benchmarks.search.published import published
from benchmarks.search.searched import searched, targeted
from benchmarks.search.setting import Contender
from benchmarks.search.torch_pruning_rivals import torch_pruning
from spaces import UserError

PUBLISHED: Mapping[str, Contender] = {
    "uniform-l1": published("uniform-l1", "uniform", "l1"),
    "uniform-l2": published("uniform-l2", "uniform", "l2"),
    "uniform-fpgm": published("uniform-fpgm", "uniform", "fpgm"),
    "global-l2": published("global-l2", "global_score", "l2", {"method": "l2"}),
    "global-taylor": published("global-taylor", "global_score", "taylor", {"method": "taylor"}),
    "clr-rnf": published("clr-rnf", "clr", "rnf"),
    "sap": published("sap", "sap", "l1"),
    "wsp": published("wsp", "wsp", "wsp"),
    "spdy": published("spdy", "spdy", "l2"),
    "obs-refitted": published("obs-refitted", "uniform", "obs", step="reconstruct"),
    "spdy-refitted": published("spdy-refitted", "spdy", "obs", step="reconstruct"),
}

TORCH_PRUNING: Mapping[str, Contender] = {
    "tp-uniform-l2": torch_pruning("tp-uniform-l2", importance="magnitude", everywhere=False),
    "tp-global-l2": torch_pruning("tp-global-l2", importance="magnitude", everywhere=True),
    "tp-global-taylor": torch_pruning("tp-global-taylor", importance="taylor", everywhere=True),
}

TARGETED = "targeted"
"""Our own search with one budget as its target, once per budget, as FastNAS and its like are used."""


def two_rungs(steps: int) -> tuple[str, ...]:
    """A second look at the better ones, after a short fine-tuning."""
    ladder = f"[{{proxy: recalibrate}}, {{proxy: finetune, steps: {steps}, schedule: constant}}]"
    return (f"ladder={ladder}", "halving={reduction: 5}")


SEARCHES: Mapping[str, tuple[str, ...]] = {
    "searched": (),
    "searched-40": two_rungs(40),
    TARGETED: (),
    f"{TARGETED}-20": two_rungs(20),
    f"{TARGETED}-40": two_rungs(40),
    "random": ("sampler=random",),
}
"""Our own searches, with what they change in the configuration."""

RIVALS: Mapping[str, Contender] = {**PUBLISHED, **TORCH_PRUNING, FASTNAS: fastnas}

NAMES = (*SEARCHES, *RIVALS)
"""In the order in which they run and tables show them."""


def contender(name: str) -> Contender:
    """The contender called `name`; `searched@3` is our search with seed 3.

    Raises:
        UserError: there is none of that name.
    """
    if name in RIVALS:
        return RIVALS[name]
    kind, _, seed = name.partition("@")
    if kind not in SEARCHES or (seed and not seed.isdigit()):
        raise UserError("--contenders", name, "no such contender", choices=NAMES)
    build = targeted if kind.startswith(TARGETED) else searched
    return build(name, *SEARCHES[kind], *([f"seed={seed}"] if seed else []))
