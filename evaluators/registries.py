"""The families of plugins that measuring knows: networks, data sets, proxies and training-time regimes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from spaces import Registry

if TYPE_CHECKING:
    from evaluators.proxy import Proxy
    from evaluators.regime import Regime
    from evaluators.sources import Sources

ModelFactory: TypeAlias = Callable[..., nn.Module]
"""Called with num_classes, in_channels and the user's parameters, all by keyword; returns the dense network."""
DatasetFactory: TypeAlias = "Callable[..., Sources | tuple[Any, Any, Any]]"
"""Called with the user's parameters by keyword; see `evaluators.sources.Sources` for what it returns."""

MODELS: Registry[ModelFactory] = Registry("model", "evaluators.models")
DATASETS: "Registry[DatasetFactory]" = Registry("dataset", "evaluators.datasets")
PROXIES: "Registry[type[Proxy]]" = Registry("proxy", "evaluators.proxies")
REGIMES: "Registry[type[Regime]]" = Registry("regime", "evaluators.regimes")
