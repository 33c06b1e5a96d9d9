"""The command `paretoprune`. Heavy libraries are imported by the commands that need them: `--help` is instant."""

import os


def main() -> None:
    """Run the command line; exit code 2 for a mistake of the user, 130 for an interrupt."""
    # Two threads that spin for each other on a busy machine slow small networks down eightyfold; this spins for
    # microseconds only, and costs nothing on an idle one. It is read once, when torch loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    from search.cli.app import app

    app()
