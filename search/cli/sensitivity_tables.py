"""What `paretoprune inspect --sensitivity` does with its options and prints."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spaces import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from search.sensitivity import SensitivityReport


def show_sensitivity(
    config: Path, *, method: str | None, ratios: str | None, out: Path | None, settings: Sequence[str]
) -> None:
    """Cut each group alone, print what it costs, and write it to `out`.

    Raises:
        UserError: a mistake in the configuration or the options.
    """
    from search.cli.options import NO_LATENCY
    from search.config_file import load_config

    # whatever the file searches, here is one method and no budget
    plain = ["space.allocators=[uniform]", "space.steps=[]", "space.preset=methods", "target_flops=100%", *NO_LATENCY]
    loaded = load_config(config, overrides=[*settings, f"space.methods=[{method or 'l2'}]", *plain])
    from evaluators.sensitivity import RATIOS, check_ratios
    from search.cli.progress import Display
    from search.cli.tables import console
    from search.destination import check_destination, complete_folder
    from search.sensitivity import FILES, network_sensitivity

    fractions = RATIOS if ratios is None else _parsed(ratios)
    check_ratios(fractions, key="--ratios")
    if out is not None:
        check_destination(out, ours=FILES)
    with Display() as display:
        report = network_sensitivity(loaded, ratios=fractions, say=display.say)
    printer = console()
    printer.print(_table(report))
    printer.print(
        f"\n{report.model} dense: {100 * report.dense_accuracy:.2f} % on the search split; channels chosen by "
        f"{report.method}, batch norms recalibrated, no training; changes of accuracy in percentage points",
        highlight=False,
    )
    if out is not None:
        from search.pages_sensitivity import save_sensitivity

        with complete_folder(out) as folder:
            report.write_csv(folder / "sensitivity.csv")
            save_sensitivity(folder / "sensitivity.png", report)
        printer.print(f"{out}: {', '.join(FILES)}", highlight=False)


def _parsed(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError("--ratios", text, "must be fractions to remove with commas between, such as 0.25,0.5") from None


def _table(report: "SensitivityReport") -> "Table":
    from search.cli.tables import plain_table

    shares = [f"{100 * ratio:g} %" for ratio in report.ratios]
    saved, changes = ([f"{what}\nat {share}" for share in shares] for what in ("MACs saved", "accuracy"))
    rows = [
        (
            group.group,
            group.width,
            *(f"{100 * cut.macs_saved:.1f} %" for cut in group.cuts),
            *(f"{100 * cut.accuracy_change:+.2f}" for cut in group.cuts),
        )
        for group in report.most_sensitive_first()
    ]
    columns = ("group", "channels", *saved, *changes)
    return plain_table(
        "Channel groups, each cut alone, most sensitive first", columns, rows, right=range(1, len(columns))
    )
