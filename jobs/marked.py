"""A taxonomy's YAML with its lines, so that errors can name them."""

from __future__ import annotations

from typing import Any

import yaml

from jobs.errors import Misconfigured

HINT = "docs/operations.md, section Taxonomy, says how the file reads."


def marked(text: str, path: str) -> tuple[yaml.Node | None, object]:
    """Return the nodes of the text, for their lines, and what they say.

    Raises Misconfigured where it is no YAML, or says a thing twice.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise wrong(path, line, f"it is no YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise wrong(path, None, f"it is no YAML: {str(error).splitlines()[0]}") from error
    seen: set[int] = set()
    waiting = [tree] if tree else []
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _once(node, path)
            waiting.extend(value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
    return tree, content


def _once(node: yaml.MappingNode, path: str) -> None:
    names: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value in names:
            raise wrong(path, key.start_mark.line + 1, f"{key.value!r} is there twice", "Join the two.")
        names.add(str(key.value))


def line_of(node: yaml.Node | None, place: tuple[int | str, ...]) -> int | None:
    """Return the line, from 1, of the innermost node on the way to a place in the file."""
    for step in place:
        inner: Any = None
        if isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            inner = node.value[step]
        if inner is None:
            break
        node = inner
    return node.start_mark.line + 1 if node else None


def wrong(path: str, line: int | None, cause: str, hint: str = HINT) -> Misconfigured:
    """Return the error of a taxonomy file, at a line where one is known."""
    return Misconfigured("read the taxonomy", f"{path}, line {line}" if line else path, cause, hint=hint)
