"""Where a reference of a schema leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from aios.models.local.engine.schema.errors import SchemaRefused
from aios.models.local.engine.schema.nodes import SchemaNode


def resolved(ref: str, node: SchemaNode) -> SchemaNode:
    """The schema that a reference of a node means. Raises Refused for one that leads nowhere, or out of the schema."""
    own = node.root.get("$id", node.root.get("id", "")) if isinstance(node.root, dict) else ""
    if own and isinstance(own, str) and ref.startswith(own.rstrip("#")) and not ref.startswith("#"):
        ref = "#" + ref[len(own.rstrip("#")) :].lstrip("#")
    if not ref.startswith("#"):
        raise SchemaRefused(node.path, f"$ref {ref!r:.80} leads out of the schema; put what it means under $defs")
    base = node.path.partition("#")[0] + "#"
    pointer = unquote(ref[1:])
    if pointer and not pointer.startswith("/"):
        return _anchored(pointer, base, node)
    value, found = node.root, base
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            raise SchemaRefused(node.path, f"$ref {ref!r:.80} leads nowhere")
        found += "/" + step
    return SchemaNode(value, found, node.root)


def _anchored(name: str, base: str, node: SchemaNode) -> SchemaNode:
    for value, path in _subschemas(node.root, base):
        if isinstance(value, dict) and (value.get("$anchor") == name or value.get("$id") == f"#{name}"):
            return SchemaNode(value, path, node.root)
    raise SchemaRefused(node.path, f"$ref {'#' + name!r:.80} leads nowhere: no $anchor has this name")


def _subschemas(root: Any, base: str) -> Iterator[tuple[Any, str]]:
    waiting: list[tuple[Any, str]] = [(root, base)]
    while waiting:
        value, path = waiting.pop()
        yield value, path
        pairs: Sequence[tuple[object, Any]] = ()
        if isinstance(value, dict):
            pairs = tuple(value.items())
        elif isinstance(value, list):
            pairs = tuple(enumerate(value))
        waiting += [(each, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}") for key, each in pairs]
