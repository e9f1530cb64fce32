"""The published schemas of both protocols, as `llm_comply` carries them, and the events of a stream."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

WITHOUT = {"function_call", "tool_calls", "title"}
"""Properties that are left out where there is nothing to say: the deprecated one, and a call that there is not."""


@cache
def _spec(name: str) -> Any:
    found = _nullable(json.loads(files("llm_comply").joinpath("specs", f"{name}.json").read_text("utf-8")))
    return Registry().with_resource("urn:spec", DRAFT202012.create_resource(found)), found


def _nullable(value: Any) -> Any:
    """OpenAPI 3.0 says of a type that it may be null in a way that JSON Schema has not."""
    if isinstance(value, list):
        return [_nullable(each) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _nullable(each) for name, each in value.items() if name != "nullable"}
    return {"anyOf": [changed, {"type": "null"}]} if value.get("nullable") is True else changed


def check(spec: str, name: str, value: Any) -> None:
    """Fails where `value` is not as the schema says."""
    registry, _ = _spec(spec)
    schema = {"$ref": f"urn:spec#/components/schemas/{name}"}
    validator = Draft202012Validator(schema, registry=registry)
    faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]
    assert not faults, (name, faults[:5], value)


def missing(spec: str, name: str, value: dict[str, Any]) -> set[str]:
    """The properties of a schema that an object does not have, whether or not they are required."""
    schema = _spec(spec)[1]["components"]["schemas"][name]
    return set(schema["properties"]) - set(value) - WITHOUT


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, each as its name and its data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in fields:
            data = fields["data"]
            found.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found
