"""The command `paretoprune`. Heavy libraries are imported by the commands that need them: `--help` is instant."""


def main() -> None:
    """Run the command line; exit code 2 for a mistake of the user, 130 for an interrupt."""
    from search.cli.app import app

    app()
