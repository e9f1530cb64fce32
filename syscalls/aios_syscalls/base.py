"""The shape that every syscall shares."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from aios_syscalls.invalid import explain

__all__ = [
    "Effect",
    "Frozen",
    "R",
    "Reply",
    "Syscall",
]

MAX_CALL_BYTES = 1024 * 1024
MAX_REPLY_BYTES = 16 * 1024 * 1024


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _Checked(ModelMetaclass):
    """Makes a wrong value that an agent's code builds a BadRequest at that line; what is read is checked elsewhere."""

    def __call__(cls, *args: Any, **fields: Any) -> Any:
        try:
            return super().__call__(*args, **fields)
        except ValidationError as error:
            fault = explain(error, vars(cls).get("name", cls.__name__), shown=True)
        raise fault


class Frozen(BaseModel, metaclass=_Checked):
    """An immutable value without unknown fields; bytes travel as base64 in JSON.

    Building one from wrong values raises BadRequest, which names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Reply(Frozen):
    """What a finished syscall answers with."""

    def summary(self) -> dict[str, Any]:
        """What a record says of it beside itself, which is left out of a record where it is large."""
        return {}


class Effect(StrEnum):
    """What running a call twice would do; decides what may be retried after a crash."""

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    AT_MOST_ONCE = "at_most_once"


R = TypeVar("R", bound=Reply)
T = TypeVar("T")
Many = Annotated[tuple[T, ...], FailFast()]
"""Several values that a caller gives: the first wrong one is told, for to look for all of a million takes seconds."""


class Syscall(Frozen, Generic[R]):
    """A request to the kernel, answered exactly once by an R or by an AiosError."""

    name: ClassVar[str]
    effect: ClassVar[Effect]
    settles: ClassVar[bool] = False
    """Whether what it has changed bears its identity: then it can be told after a crash whether it took effect."""

    priority: int = Field(default=0, ge=-100, le=100)
    """Larger runs first; equal priorities are the policy's to order."""
    deadline_s: float | None = Field(default=None, gt=0)
    """Seconds from acceptance to `Expired`; None means the kernel's default."""

    @classmethod
    def family(cls) -> str:
        """The part of the name before the dot: llm, tool, file or process."""
        return cls.name.partition(".")[0]

    @classmethod
    def reply_type(cls) -> type[R]:
        """The R of this class."""
        for base in cls.__mro__:
            arguments: tuple[Any, ...] = getattr(base, "__pydantic_generic_metadata__", {}).get("args", ())
            if arguments:
                return cast("type[R]", arguments[0])
        raise TypeError(f"{cls.__name__} names no reply type: write class {cls.__name__}(Syscall[SomeReply])")
