"""`paretoprune inspect --sensitivity`: the table, the files, and every mistake as one line."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from search.cli.app import app
from tests.integration.conftest import TINY


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}), encoding="utf-8")
    return path


def test_table_and_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--sensitivity", "--ratios", "0.5, 0.25", "--method", "fpgm", "--out", out]
    result = call(write(tmp_path, target_flops="1K"), *arguments)  # the budget of a search does not matter here
    assert result.exit_code == 0, result.output
    assert "most sensitive first" in result.stdout
    assert "channels chosen by fpgm" in result.stdout
    assert {path.name for path in out.iterdir()} == {"sensitivity.csv", "sensitivity.png"}
    assert (out / "sensitivity.png").read_bytes().startswith(b"\x89PNG")
    with (out / "sensitivity.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups = [row["group"] for row in rows[::2]]
    assert groups[0] != groups[-1]
    assert [row["ratio"] for row in rows] == ["0.5", "0.25"] * len(groups)
    means = [sum(float(row["accuracy_change"]) for row in rows[at : at + 2]) for at in range(0, len(rows), 2)]
    assert means == sorted(means)
    places = [result.stdout.index(f"\n{group} ") for group in groups]
    assert places == sorted(places)
    for row in rows:
        assert 0 < float(row["macs_saved"]) < 1
        assert f"{100 * float(row['accuracy_change']):+.2f}" in result.stdout


@pytest.mark.parametrize(
    ("changes", "arguments", "part"),
    [
        ({}, ["--ratios", "0.5"], "--ratios = '0.5': needs --sensitivity"),
        ({}, ["--out", "x"], "--out = 'x': needs --sensitivity"),
        ({}, ["--sensitivity", "--ratios", "half"], "--ratios = 'half': must be fractions"),
        ({}, ["--sensitivity", "--ratios", "0.5,1.5"], "--ratios = 1.5: must be a fraction"),
        ({}, ["--sensitivity", "--method", "l9"], "unknown method"),
        ({}, ["--sensitivity", "--out", __file__], "is a file; name a folder"),
        ({"train": {}}, ["--sensitivity"], "weights: is required"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, changes: dict[str, Any], arguments: list[str], part: str) -> None:
    result = call(write(tmp_path, **changes), *arguments)
    assert result.exit_code == 2, result.output
    assert part in result.stderr.splitlines()[-1]
