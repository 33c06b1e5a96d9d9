"""docs/configuration.md shows every key, with its default."""

import re
from pathlib import Path
from typing import Any

import yaml

from search.config_file import parse_config

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
CHOSEN = {"model", "weights", "data"}
"""Keys whose values on the page are examples."""


def written() -> dict[str, Any]:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    page = yaml.safe_load(block)
    assert isinstance(page, dict)
    return page


def test_every_key_is_there() -> None:
    page = written()
    config = parse_config({key: page[key] for key in CHOSEN}).model_dump(mode="json")
    assert page.keys() == config.keys()
    for key in ("space", "halving", "latency", "tracking", "workers"):
        assert page[key].keys() == config[key].keys()


def test_every_default_is_right() -> None:
    page = written()
    minimal = parse_config({key: page[key] for key in CHOSEN})
    assert parse_config(page) == minimal
