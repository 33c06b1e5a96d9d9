"""No plugin without an oracle: tests/oracle/<family>/test_<name>.py has to exist and to test something."""

import ast
from pathlib import Path

import pytest

from evaluators.registries import REGIMES
from pruners import ALLOCATORS, METHODS, STEPS

HERE = Path(__file__).parent
PLUGINS = [
    (folder, name)
    for folder, r in (("allocators", ALLOCATORS), ("methods", METHODS), ("steps", STEPS), ("regimes", REGIMES))
    for name in r.names()
]


@pytest.mark.parametrize(("family", "name"), PLUGINS)
def test_has_an_oracle(family: str, name: str) -> None:
    path = HERE / family / f"test_{name}.py"
    assert path.is_file(), f"{family} plugin {name!r} has no oracle row: write {path.relative_to(HERE.parent)}"
    names = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    assert any(found.startswith("test_") for found in names)
