"""The folder where decoded images and downloaded data sets are kept."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """PARETOPRUNE_CACHE, else `paretoprune` in the platform's cache folder; it need not exist."""
    own = os.environ.get("PARETOPRUNE_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "paretoprune"
