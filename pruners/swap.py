"""Other tensors in a network for a while.

`torch.func.functional_call` leaves its own tensors behind in a module that two parents share (torch 2.15), so this does
without it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from pruners.tracer import named_tensors


@contextmanager
def swapped(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """`model` with `tensors` in place of its parameters and buffers of these names; its own are back afterwards.

    A parameter that stands in several places is replaced in all of them.
    """
    by_id = {id(own): tensors[name] for name, own in named_tensors(model) if name in tensors}
    before: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
    try:
        for module in model.modules():
            for table in (module.__dict__["_parameters"], module.__dict__["_buffers"]):
                for name, own in table.items():
                    if id(own) in by_id:
                        before.append((table, name, own))
                        table[name] = by_id[id(own)]
        yield model
    finally:
        for table, name, own in before:
            table[name] = own
