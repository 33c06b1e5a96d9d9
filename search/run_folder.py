"""The folder of one search: what it was asked, its study, and where its parts lie."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search.config import Config
from search.config_file import apply_overrides, dump_config, parse_config
from search.yaml_text import read_yaml
from spaces import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: what `ui`, `front` and `export` take."""
        return self.path.name

    @property
    def identity_file(self) -> Path:
        """What tells this run from another one of the same name."""
        return self.path / "identity"

    @property
    def search_id(self) -> str:
        """The run in MLflow, where runs outlive their folders."""
        return self.identity_file.read_text(encoding="utf-8") if self.identity_file.is_file() else self.name

    @property
    def config_file(self) -> Path:
        """The configuration with every path absolute."""
        return self.path / "config.yaml"

    @property
    def study_file(self) -> Path:
        """The embedded study."""
        return self.path / "study.journal"

    @property
    def latency_file(self) -> Path:
        """The latency table that the run steers by, its own copy."""
        return self.path / "latency.json"

    @property
    def ray(self) -> Path:
        """Tune's own bookkeeping."""
        return self.path / "ray"

    @property
    def troubles(self) -> Path:
        """Tracebacks of crashed trials and stacks of workers that hung."""
        return self.path / "troubles"

    @property
    def trained(self) -> Path:
        """Networks that were trained after the search."""
        return self.path / "trained"

    def config(self) -> Config:
        """The configuration that the run was started with."""
        return parse_config(read_yaml(self.config_file.read_text(encoding="utf-8"), source=str(self.config_file)))

    def storage(self, config: Config) -> str | Path:
        """Where the study lies: a URL, or a journal file."""
        return config.storage or self.study_file

    def write_config(self, config: Config) -> None:
        """Keep what the run was asked."""
        self.config_file.write_text(dump_config(config), encoding="utf-8")


def create_run(config: Config, *, runs: Path, name: str | None = None) -> RunFolder:
    """A new run's folder.

    Args:
        config: kept in the folder.
        runs: folder of all runs.
        name: exactly this name; by default the configuration's, numbered where it is taken.

    Raises:
        UserError: the name is taken or no name for a folder.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise UserError("--name", name, "must be letters, digits, dots, dashes and underscores")
    if name is not None and (runs / name).exists():
        raise UserError("--name", name, f"there is such a run; go on with it by --resume {name}, or take another name")
    runs.mkdir(parents=True, exist_ok=True)
    wanted, number = name or config.title, 1
    while True:
        path = runs / (wanted if number == 1 else f"{wanted}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        folder = RunFolder(path=path.resolve())
        folder.troubles.mkdir()
        folder.identity_file.write_text(f"{folder.name}-{secrets.token_hex(4)}", encoding="utf-8")
        folder.write_config(config)
        return folder


def find_run(run: str, *, runs: Path) -> RunFolder:
    """The folder of a run by name, by path, or of the newest one (`last`).

    Raises:
        UserError: there is no such run.
    """
    known = {path.parent.name: path.parent for path in sorted(runs.glob("*/config.yaml"))}
    if run == "last" and known:
        return RunFolder(path=max(known.values(), key=lambda path: path.stat().st_mtime).resolve())
    for path in (known.get(run), Path(run).expanduser()):
        if path is not None and (path / "config.yaml").is_file():
            return RunFolder(path=path.resolve())
    raise UserError("run", run, f"there is no such run in {runs}", choices=known)


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """A run's configuration with `key=value` settings on top.

    Raises:
        UserError: as `search.config_file.load_config`.
    """
    return parse_config(apply_overrides(config.model_dump(mode="json", exclude_defaults=True), overrides))


def check_resumable(old: Config, new: Config, *, trained: bool = False) -> None:
    """Only what does not change the answers may change when a run goes on.

    Args:
        old: the run's.
        new: as it is to go on.
        trained: members of the front have been trained, so `finetune` is part of the answers.

    Raises:
        UserError: something else differs.
    """
    free = {"trials", "workers", "tracking", "give_up_after", "finetune", "train_front", "baseline", "name"}
    free -= {"finetune"} if trained else set()
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    for key in before:
        if key not in free and before[key] != after[key]:
            rule = f"can't change when a run goes on (only {', '.join(sorted(free - {'name'}))} can); start a new run"
            raise UserError(key, _brief(after[key]), rule)


def _brief(value: object) -> object:
    return value if len(repr(value)) <= 60 else repr(value)[:57] + "..."
