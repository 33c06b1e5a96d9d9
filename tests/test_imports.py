"""Imports point one way, in no circle, and heavy third parties stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ("spaces", "pruners", "evaluators", "search")
ROOMS = {
    "ray": ("search.runtime",),
    "mlflow": ("search.tracking",),
    "optuna": ("search.study", "search.samplers"),
    "torch": ("pruners", "evaluators", "search"),
    "thop": ("pruners",),
    "typer": ("search.cli",),
    "rich": ("search.cli",),
    "pydantic": ("search.config", "search.latency", "search.recipes"),
    "plotly": ("search.pages",),
    "matplotlib": ("search.pages",),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))}


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Absolute names that a file imports; `from a import b` gives a.b where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _outside_functions(tree) if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in whole if name in FILES}
            found |= modules if len(modules) == len(whole) else modules | {node.module}
    return found


def _outside_functions(tree: ast.Module) -> list[ast.AST]:
    """Nodes that run when the module is imported; what stands under TYPE_CHECKING does not."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("name", FILES)
def test_imports_point_one_way(name: str) -> None:
    rank = ORDER.index(name.split(".")[0])
    against = {other for other in imported(FILES[name]) if other.split(".")[0] in ORDER[rank + 1 :]}
    assert not against, f"{name} imports {sorted(against)}, which is further down the flow"


@pytest.mark.parametrize("name", FILES)
def test_heavy_third_parties_stay_in_their_rooms(name: str) -> None:
    for other in imported(FILES[name]):
        rooms = ROOMS.get(other.split(".")[0])
        assert rooms is None or name.startswith(rooms), f"{name} imports {other}, which belongs in {rooms}"


def test_no_circle_between_modules() -> None:
    arrows = {name: imported(path, top_level_only=True) & FILES.keys() - {name} for name, path in FILES.items()}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"imports go in a circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for other in sorted(arrows[name]):
                walk(other, (*path, name))
            done.add(name)

    for name in FILES:
        walk(name, ())


BLOCKED = """
import sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Wall())
import pruners, evaluators
from evaluators import task, worker, artifact

"""


def test_measuring_works_where_only_torch_is_installed() -> None:
    blocked = {"ray", "optuna", "mlflow", "pydantic", "typer", "rich", "plotly", "yaml", "sklearn", "onnx", "thop"}
    code = BLOCKED.format(blocked=blocked)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = "import sys, search.cli; print(' '.join({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "ray", "mlflow", "optuna", "sklearn", "plotly", "matplotlib"} & set(done.stdout.split())
    assert not heavy
