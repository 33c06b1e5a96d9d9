"""What a search ran with: versions and device, recorded with every start of the driver."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from pruners.timing import device_name

_PACKAGES = ("paretoprune", "torch", "torchvision", "optuna", "ray", "mlflow", "numpy", "scikit-learn")


def current_environment(device: torch.device, *, seed: int) -> dict[str, str | int]:
    """Versions by package, the driver's device and the seed that every other one follows from."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": f"{device.type}: {device_name(device)}",
        "seed": seed,
    }


def _version(package: str) -> str:
    if package == "torch":
        return str(torch.__version__)  # with the CUDA that it was built for
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # paretoprune itself, from a source tree
