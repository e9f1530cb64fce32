"""What agents' programs give to the SDK's methods, where Python itself would take it for something else."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Any

from pydantic import BaseModel, PydanticUserError

from aios_syscalls import BadRequest, Sampling


def several_texts(values: Iterable[str], field: str) -> tuple[str, ...]:
    """Several texts. Raises BadRequest for what is none, and for a single text, whose letters nobody means."""
    if isinstance(values, str | bytes):
        raise BadRequest(f"{field} is one text; give a list of texts, as in [{values!r:.40}]", field)
    found = _several(values, field)
    for index, text in enumerate(found):
        if not isinstance(text, str):
            raise BadRequest(f"{field}.{index} is {type(text).__name__}, not str; give texts", f"{field}.{index}")
    return found


OF_SAMPLING = frozenset(Sampling.model_fields)


def known(options: Mapping[str, Any], method: Callable[..., Any], *, own: Container[str] = ()) -> None:
    """Raise BadRequest for options that a method has not, or that whoever passes them on gives itself: `own`."""
    names = [name for name, each in signature(method).parameters.items() if each.kind is Parameter.KEYWORD_ONLY]
    for name in options:
        if name in own:
            raise BadRequest(f"{name} is given by the method itself; leave it out, or use agent.chat", name)
        if name in OF_SAMPLING:
            raise BadRequest(f"there is no option {name}; give sampling=Sampling({name}={options[name]!r:.40})", name)
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise BadRequest(f"there is no option {name}; {hint}", name)


def fields_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """A chat's options as the fields of the call."""
    fields = {"response_schema" if name == "schema" else name: value for name, value in options.items()}
    return fields | ({"stop": several_texts(fields["stop"], "stop")} if "stop" in fields else {})


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
