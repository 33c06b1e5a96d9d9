"""Training under masks."""

from dataclasses import dataclass

from torch import Tensor, nn

from pruners.masks import Masks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskHook:
    """A `TrainingHook` that keeps masked weights at zero.

    They are zero before every forward pass, so the others' gradients are those of the masked network; the optimiser
    treats every weight by itself, so this equals zeroing the masked weights' gradients.
    """

    masks: Masks

    def penalty(self, model: nn.Module, step: int) -> Tensor | None:
        """None: masks add nothing to the loss."""
        return None

    def after_step(self, model: nn.Module, step: int) -> None:
        """Take back what the optimiser did to masked weights."""
        self.masks.apply(model)
