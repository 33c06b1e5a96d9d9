"""Networks that go wrong in workers and never in the driver, each fault once or always; used by the runtime tests."""

import os
import signal
import threading
import time
from pathlib import Path

from torch import nn

from evaluators.models.digits_resnet import digits_resnet


def build(*, num_classes: int, in_channels: int, driver: int, fault: str, flag: str) -> nn.Module:
    """A small digits network; in any process but `driver`, the fault happens while the file `flag` does not exist."""
    if os.getpid() != driver and not Path(flag).exists():
        _go_wrong(fault, Path(flag))
    return digits_resnet(num_classes=num_classes, in_channels=in_channels, num_blocks=1, width=4)


def _go_wrong(fault: str, flag: Path) -> None:
    if fault == "raise":
        raise ZeroDivisionError("a bug in the user's network")
    flag.touch()
    if fault == "hang":
        time.sleep(600)
    if fault == "die":
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(5)
