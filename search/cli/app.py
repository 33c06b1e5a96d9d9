"""The commands, and what becomes of their errors."""

import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from search.cli import export_commands, latency_command, search_command, show_commands, ui_commands
from spaces import ParetopruneError, UserError

_USER_MISTAKE, _INTERRUPTED = 2, 130


class Commands(TyperGroup):
    """A user's mistake is one line and exit code 2; `--debug`, anywhere, shows where it came from."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--debug` from wherever it stands."""
        ctx.meta["debug"] = "--debug" in args
        rest: list[str] = super().parse_args(ctx, [arg for arg in args if arg != "--debug"] or ["--help"])
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except ParetopruneError as error:
            if ctx.meta["debug"]:
                traceback.print_exc()
            line = " ".join(str(error).split())
            typer.secho(f"error: {line}", err=True, fg=typer.colors.RED)
            sys.exit(_USER_MISTAKE if isinstance(error, UserError) else 1)


app = typer.Typer(
    cls=Commands,
    help="Make a trained CNN as small as it can be at a compute budget, automatically.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Options of every command; `--debug` is taken before it gets here."""


app.command("search")(search_command.search)
app.command("front")(show_commands.front)
app.command("ui")(ui_commands.ui)
app.command("export")(export_commands.export)
app.command("prune")(export_commands.prune)
app.command("mask")(export_commands.mask)
app.command("inspect")(show_commands.inspect)
app.command("latency")(latency_command.latency)
app.command("list")(show_commands.list_plugins)
app.command("sync")(ui_commands.sync)
