"""Where in a YAML file something stands, and why one cannot be read."""

from typing import Any, cast

import yaml


def unread(error: yaml.YAMLError) -> str:
    """Where and why a file is not YAML, without the line itself, which may hold a password."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    why = error.problem if isinstance(error, yaml.MarkedYAMLError) else getattr(error, "reason", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return f"{where}{why or 'it has a character that YAML does not allow'}"


def line_of(node: yaml.Node | None, loc: list[str]) -> int:
    """Line of the innermost node on the way that exists."""
    line = node.start_mark.line + 1 if node else 1
    for part in loc:
        found: Any = None
        if isinstance(node, yaml.MappingNode):
            pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
            found = next(((key, value) for key, value in pairs if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = (node.value[int(part)], node.value[int(part)])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
