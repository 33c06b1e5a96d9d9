"""What is measured on what, as plain data: it goes into configs, into JSON and to workers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from evaluators.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The dense network.

    Attributes:
        name: a registered name, torchvision's (`mobilenet_v2`, or `torchvision:resnet50` where a registered name hides
            it), or the user's own as `package.module:function`.
        params: keyword parameters of the factory.
        weights: a .safetensors, .pt or .pth file; None leaves the network untrained.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """The data.

    Attributes:
        name: a registered name, or the user's own as `package.module:function`.
        params: keyword parameters of the data set's function, and those that every data set has: `num_train` and
            `num_search` (use so many samples, classes in proportion; 2,500 to search on unless it is given), `mean`,
            `std` and `augment`.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What is measured on what.

    Attributes:
        model: the dense network.
        data: the data.
        seed: everything random derives from it.
        device: where to compute: `auto`, `cpu`, `cuda`.
        precision: in which number format candidates are scored and, by proxies, trained.
    """

    model: ModelSpec
    data: DataSpec
    seed: int = 0
    device: str = "auto"
    precision: Precision = "float32"

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TaskSpec":
        """The inverse of `to_dict`."""
        return cls(**{**data, "model": ModelSpec(**data["model"]), "data": DataSpec(**data["data"])})
