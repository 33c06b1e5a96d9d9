"""Which of some groups is the one that can't be cut, and how code says that it can't."""

from collections.abc import Callable, Sequence

from spaces import ChannelGroup

BREAKS = "its cut breaks the forward pass"
ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError)
"""What code raises that meets a width which it does not expect."""
Check = Callable[[Sequence[ChannelGroup]], str | None]
"""What is wrong with cutting some groups together."""


def broken(error: Exception, mode: str = "") -> str:
    """A cut's error as a reason, in one line."""
    return f"{BREAKS}{mode}: {(str(error) or type(error).__name__).splitlines()[0]}"


def narrowed(check: Check, groups: list[ChannelGroup], problem: str) -> tuple[list[ChannelGroup], str]:
    """The wrong one of some groups and what is wrong; several where only their combination is."""
    while len(groups) > 1:
        middle = len(groups) // 2
        for part in (groups[:middle], groups[middle:]):
            if (found := check(part)) is not None:
                groups, problem = part, found
                break
        else:  # each half holds alone, both together do not: keep the first half
            return groups[middle:], problem
    return groups, problem
