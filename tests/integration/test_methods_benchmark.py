"""The benchmark of the command line: every plugin has its command, and the table says what went wrong."""

from dataclasses import replace
from pathlib import Path

from benchmarks.methods.commands import Row, commands, fewer_images, page
from evaluators.registries import REGIMES
from pruners import ALLOCATORS, METHODS, STEPS

GOOD = Row(
    kind="method",
    name="l2",
    exit_code=0,
    amount=49,
    allowed=50,
    dense=100,
    seconds=2.0,
    processor_seconds=1.0,
    error="",
)


def test_every_plugin_has_a_command() -> None:
    found = [(command.kind, command.name) for command in commands("0.5")]
    assert len(found) == len(set(found))
    for kind, registry in (("allocator", ALLOCATORS), ("method", METHODS), ("step", STEPS)):
        assert {name for one, name in found if one == kind} == set(registry.names())
    assert {name for one, name in found if one in ("regime", "mask")} == {*REGIMES.names(), "sap"}


def test_the_table_names_what_missed_its_budget() -> None:
    rows = [
        GOOD,
        replace(GOOD, name="wide", amount=51),
        replace(GOOD, name="broken", exit_code=2, amount=0, dense=0, error="error: no such thing"),
        replace(GOOD, kind="mask", name="sap", allowed=0, amount=90),
    ]
    text = page(rows, model="net", settings=["finetune.steps=2"], per_class=3)
    assert "4 commands, 2 of them within their budget; failed or over it: method wide, method broken." in text
    assert "| method | `wide` | 0 | 51 | 51.00 % | no |" in text
    assert "| method | `broken` | 2 | 0 |  | error: no such thing |" in text
    assert "| mask | `sap` | 0 | 90 | 90.00 % | none asked |" in text


def test_a_smaller_folder_has_every_class(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (tmp_path / "all" / part / label).mkdir(parents=True)
            for number in range(3):
                (tmp_path / "all" / part / label / f"{number}.txt").write_text(f"{part} {label} {number}")
    fewer_images(tmp_path / "all", tmp_path / "few", per_class=2)
    assert len(list((tmp_path / "few").rglob("*.txt"))) == 8
    assert (tmp_path / "few" / "test" / "dog" / "1.txt").read_text() == "test dog 1"
