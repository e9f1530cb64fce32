"""What agents' programs give to the SDK's methods, where Python itself would take it for something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, PydanticUserError

from aios_syscalls import BadRequest


def several_texts(values: Iterable[str], field: str) -> tuple[str, ...]:
    """Several texts. Raises BadRequest for what is none, and for a single text, whose letters nobody means."""
    if isinstance(values, str | bytes):
        raise BadRequest(f"{field} is one text; give a list of texts, as in [{values!r:.40}]", field)
    found = _several(values, field)
    for index, text in enumerate(found):
        if not isinstance(text, str):
            raise BadRequest(f"{field}.{index} is {type(text).__name__}, not str; give texts", f"{field}.{index}")
    return found


def schema_of(form: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a pydantic model. Raises BadRequest for what is none, or has a field that JSON cannot hold."""
    if not (isinstance(form, type) and issubclass(form, BaseModel)):
        raise BadRequest("form is no pydantic model; give one, as in class City(BaseModel): ...", "form")
    try:
        found: dict[str, Any] = _without_uniqueness(form.model_json_schema())
        return found
    except PydanticUserError as error:
        raise BadRequest(f"{form.__name__} has no JSON Schema: {error.message}; use JSON types", "form") from None


def _without_uniqueness(schema: Any) -> Any:
    """A set's schema as that of a list: pydantic drops what comes twice, which no grammar can keep from coming."""
    match schema:
        case dict():
            is_set = schema.get("type") == "array" and schema.get("uniqueItems") is True
            kept = {key: item for key, item in schema.items() if not (is_set and key == "uniqueItems")}
            return {key: _without_uniqueness(item) for key, item in kept.items()}
        case list():
            return [_without_uniqueness(item) for item in schema]
        case _:
            return schema


def _several(values: Any, field: str) -> tuple[Any, ...]:
    try:
        return tuple(values)
    except TypeError:
        raise BadRequest(f"{field} is {type(values).__name__}; give a list of texts", field) from None
