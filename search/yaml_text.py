"""YAML as people expect it: 1e-3 is a number, 30:50 is text, a key given twice is a mistake."""

import re
from typing import Any

import yaml

from spaces import UserError

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """YAML 1.2 numbers: the 1.1 rules read 1e-3 as text and 30:50 as 1850."""

    yaml_implicit_resolvers = {
        first: [item for item in items if not item[0].endswith((":int", ":float", ":timestamp"))]
        for first, items in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key_node.value!r} twice", key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
# The first resolver that matches wins, and "12" matches both.
for _first, _items in _Loader.yaml_implicit_resolvers.items():
    _items.sort(key=lambda item: not item[0].endswith(":int"))


def read_yaml(text: str, *, source: str) -> Any:
    """What the text says.

    Args:
        text: one YAML document.
        source: file or option that it came from, for messages.

    Raises:
        UserError: the text is not YAML; the message has the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise UserError(where, None, f"is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(source, None, f"is not YAML: {str(error).splitlines()[0]}") from error
