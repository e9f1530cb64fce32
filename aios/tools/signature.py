"""A Python signature as the JSON Schema of its arguments, and the check of arguments against it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ConfigDict, Field, JsonValue, PydanticUserError, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import CoreSchema, to_json

from aios_syscalls.invalid import explain


class _Plain(GenerateJsonSchema):
    """Without the titles, which repeat the names and cost a model tokens."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> dict[str, Any]:
        made = super().generate(schema, mode)
        made.pop("title", None)
        return {"properties": {}, **made}


class Signature:
    """The parameters of a function, each of which must have a type and be passable by name.

    Raises TypeError where one has not, or has a type that JSON cannot express.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        fields: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        for index, parameter in enumerate(inspect.signature(function, eval_str=True).parameters.values()):
            _require_plain(function, parameter)
            default = ... if parameter.default is parameter.empty else parameter.default
            # A field of its own name could collide with an attribute of BaseModel, such as `copy`.
            fields[f"field{index}"] = (parameter.annotation, Field(default, alias=parameter.name))
            self._names[f"field{index}"] = parameter.name
        try:
            arguments = create_model("Arguments", __config__=ConfigDict(extra="forbid", strict=True), **fields)
            self.parameters: dict[str, Any] = arguments.model_json_schema(schema_generator=_Plain)
        except PydanticUserError as error:
            raise TypeError(f"tool {function.__name__}: {error.message}") from error
        # One level up, so that a fault's field begins with `arguments`, as it does in the call.
        self._call: Any = create_model("Call", arguments=(arguments, ...))

    def bind(self, arguments: Mapping[str, JsonValue], what: str) -> dict[str, Any]:
        """The keyword arguments of a call, as the types that the function wants. Raises BadRequest about `what`."""
        try:
            # By way of JSON, where strict means what the schema says and a date may still be a string.
            call = self._call.model_validate_json(to_json({"arguments": arguments}))
        except ValidationError as error:
            raise explain(error, what) from None
        return {name: getattr(call.arguments, field) for field, name in self._names.items()}


def _require_plain(function: Callable[..., Any], parameter: inspect.Parameter) -> None:
    where = f"tool {function.__name__}: parameter {parameter.name}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"{where} cannot be passed by name; a tool takes neither *args, **kwargs nor `/`")
    if parameter.annotation is parameter.empty:
        raise TypeError(f"{where} has no type, which its JSON Schema is made from; annotate it")
