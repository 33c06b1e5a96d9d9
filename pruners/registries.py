"""The three plugin families of pruning, and what a plugin of each promises."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from torch import Tensor, nn

from pruners.cost import FloatArray
from pruners.evidence import Evidence
from pruners.plan import Plan
from spaces import ChannelGroup, Domain, Registry


class Allocator(Protocol):
    """Says how much of each group goes; a frozen dataclass of its hyper-parameters.

    Attributes:
        domains: hyper-parameters and their ranges; the scalar is not among them.
        needs: kinds of evidence: `weights`, `gradients`, `activations`.
        scalar: the one field that is monotone in cost (more of it removes more), solved from the budget; None where the
            vector is only shifted.
        scalar_range: where it is solved.
    """

    domains: ClassVar[Mapping[str, Domain]]
    needs: ClassVar[frozenset[str]]
    scalar: ClassVar[str | None]
    scalar_range: ClassVar[tuple[float, float]]

    def ratios(self, groups: Sequence[ChannelGroup], evidence: Evidence) -> FloatArray:
        """Removed fraction per group, shape (num_groups,), in [0, 1]."""
        ...


class Method(Protocol):
    """Says which channels go; a frozen dataclass of its hyper-parameters.

    A rule on sets defines `keep(group, count, evidence) -> indices` instead of scores.
    """

    domains: ClassVar[Mapping[str, Domain]]
    needs: ClassVar[frozenset[str]]

    def score(self, group: ChannelGroup, evidence: Evidence) -> Tensor:
        """One number per channel, shape (width,); the lowest go first."""
        ...


class Step(Protocol):
    """Changes the network after its channels are cut; the compute may shrink, never grow.

    A step that changes values alone says so by the class attribute `keeps_cost = True`; its networks are not counted.
    """

    domains: ClassVar[Mapping[str, Domain]]
    needs: ClassVar[frozenset[str]]

    def apply(
        self, model: nn.Module, *, groups: Sequence[ChannelGroup], plan: Plan, dense: nn.Module, evidence: Evidence
    ) -> nn.Module:
        """The finished network, with the inputs and outputs of `dense`.

        Args:
            model: what `slim(dense, groups, plan)` returned; the step owns it and may change it in place.
            groups: of the dense network.
            plan: group -> kept indices.
            dense: read only.
            evidence: of the dense network, read only.
        """
        ...


ALLOCATORS: Registry[type[Allocator]] = Registry("allocator", "pruners.allocators")
METHODS: Registry[type[Method]] = Registry("method", "pruners.methods")
STEPS: Registry[type[Step]] = Registry("step", "pruners.steps")
