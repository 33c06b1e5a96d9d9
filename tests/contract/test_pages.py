"""What the documents show is what the code does."""

import re
import subprocess
import sys
from pathlib import Path

from evaluators.methods_table import PAGE, page

ROOT = Path(__file__).parent.parent.parent

RUN = """
import sys, types
plugin, oracle = sys.stdin.read().split("\\0")
module = types.ModuleType("peak")
sys.modules["peak"] = module
exec(plugin, vars(module))
tests = {"__name__": "test_peak"}
exec(oracle, tests)
tests["test_largest_absolute_weight"]()

from pruners import METHODS
from tests.contract import test_methods
entry = METHODS.entry("peak")
for name, test in vars(test_methods).items():
    if name.startswith("test_"):
        arguments = {"entry": entry}
        if "network" in test.__code__.co_varnames[: test.__code__.co_argcount]:
            arguments["network"] = "residual"
        test(**arguments)
"""


def blocks(text: str) -> dict[str, str]:
    """Fenced Python by the path in its first line."""
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", text, flags=re.DOTALL)
    return {path: code for path, code in found}


def test_methods_page_is_up_to_date() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page(), "run: python -m evaluators.methods_table"


def test_worked_example_of_a_method() -> None:
    code = blocks((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    both = code["pruners/methods/peak.py"], code["tests/oracle/methods/test_peak.py"]
    done = subprocess.run(
        [sys.executable, "-c", RUN], input="\0".join(both), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
