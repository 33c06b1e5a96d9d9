"""The registries as a page: `python -m evaluators.methods_table` writes docs/methods.md."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluators.registries import REGIMES
from pruners.registries import ALLOCATORS, METHODS, STEPS
from spaces import Entry, Registry

PAGE = Path("docs/methods.md")

INTRODUCTION = """\
# Allocators, criteria, steps and regimes

This page is written by `python -m evaluators.methods_table` from the plugins themselves; a test holds it up to date.

A method of the literature is up to three decisions, each a plugin of its own. An **allocator** says how many channels
of each group go, a **criterion** (`method` in configurations) says which, a **step** changes the network afterwards.
Any combination is a point of the search space; `space.allocators`, `space.methods` and `space.steps` choose among them,
and a plugin's hyper-parameters are searched within the ranges below unless they are given. Before them, a **regime**
may train the dense network so that it can be cut well; [training_time.md](training_time.md) has more.

"As published" says what is faithful and what is this project's adaptation; every docstring has the details and the
equation. "Needs" says what is gathered once from the dense network: nothing but its weights, or also a pass over some
hundred training images for gradients, activations, feature maps or whole blocks.
"""

SECTIONS: dict[str, tuple[Registry[Any], str]] = {
    "Allocators": (
        ALLOCATORS,
        "Each solves one scalar so that the network meets the compute budget; then whole channels are fitted to it.",
    ),
    "Criteria": (METHODS, "A score per channel; the lowest go first."),
    "Steps": (STEPS, "What is done to the cut network before it is trained."),
    "Regimes": (
        REGIMES,
        "What happens while the dense network trains, before it is read: `paretoprune prune CONFIG --regime NAME`, or "
        "`paretoprune mask` for those that mask single weights. A search does not draw them.",
    ),
}


def page() -> str:
    """The whole page in Markdown."""
    parts = [INTRODUCTION]
    for title, (registry, introduction) in SECTIONS.items():
        last = ("then read by", "ranges") if registry is REGIMES else ("needs", "searched hyper-parameters")
        parts.append(f"\n## {title}\n\n{introduction}\n\n" + "\n".join(_table(registry, last)) + "\n")
    return "".join(parts)


def _table(registry: Registry[Any], last: tuple[str, str]) -> Iterator[str]:
    yield "| " + " | ".join(("name", "what it does", "paper", "as published", *last)) + " |"
    yield "|---|---|---|---|---|---|"
    for entry in registry:
        yield "| " + " | ".join(_cells(entry)) + " |"


def _cells(entry: Entry[Any]) -> tuple[str, ...]:
    needs = _reader(entry.target) if hasattr(entry.target, "reads") else ", ".join(sorted(entry.target.needs))
    domains = "<br>".join(f"`{name}` {_escaped(str(domain))}" for name, domain in entry.domains.items())
    fidelity = getattr(entry.target, "fidelity", "faithful" if entry.paper else "baseline")
    return (
        f"`{entry.name}`",
        _escaped(entry.summary),
        _link(entry.paper),
        _escaped(fidelity),
        needs or "nothing",
        domains or "none",
    )


def _reader(regime: Any) -> str:
    return f"`{regime.reads}`" if regime.granularity == "channels" else "nothing: single weights are masked"


def _link(paper: str) -> str:
    number = paper.removeprefix("arXiv:")
    return f"[{number}](https://arxiv.org/abs/{number})" if paper.startswith("arXiv:") else paper or "ours"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page below the current folder, or to the path that is given."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
