"""What can go wrong, by who has to act: the user, the candidate, or us."""

import difflib
from collections.abc import Iterable

FEW = 24
"""Names that one line can list."""


def nearest(value: object, choices: Iterable[str]) -> str | None:
    """The choice most like `value`, or None where nothing is close."""
    found = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


class ParetopruneError(Exception):
    """Base of every error that paretoprune raises on purpose."""


class UserError(ParetopruneError):
    """A mistake in what the user wrote or pointed at: one line, exit code 2, raised before any worker starts."""

    def __init__(self, key: str, value: object, rule: str, *, choices: Iterable[str] = ()) -> None:
        """Compose the one line.

        Args:
            key: what the user set, as they wrote it (`target_flops`, `data.path`, `--method`).
            value: the value found there.
            rule: what has to hold, phrased so that the user can act on it.
            choices: valid names; the one nearest to the last part of `key`, where that is unknown, or else to `value`
                is offered, or all of them where they are few.
        """
        options = sorted(choices)
        near = nearest(value, options) or nearest(key.rpartition(".")[2], options)
        few = options if len(options) <= FEW else [*options[:FEW], f"and {len(options) - FEW} more"]
        hint = f"; did you mean {near!r}?" if near else (f"; valid: {', '.join(few)}" if few else "")
        shown = f" = {value!r}" if value is not None else ""
        super().__init__(f"{key}{shown}: {rule}{hint}")
        self.key = key


class InfeasibleError(UserError):
    """A budget that no vector of widths of this network can meet."""


class PlanError(ParetopruneError):
    """A candidate that can't be turned into a network; it fails alone and the search goes on."""
