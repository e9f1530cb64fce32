"""A typed Python function as a tool for agents and models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, overload

from anyio import move_on_after
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from aios.tools.isolation import in_process, in_thread
from aios.tools.signature import Signature
from aios.wall import Walls
from aios_syscalls import AiosError, ToolFailed, ToolSpec
from aios_syscalls.base import MAX_REPLY_BYTES

Function = Callable[..., Any]
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MAX_MESSAGE = 2000
"""Characters of a tool's own error message that are passed on."""


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A function with its description; make one with `@tool`.

    A coroutine function runs on the event loop, which it must not block. Any other runs on a thread of its own, or
    with `process` in a process of its own, which can be ended whatever it does but knows nothing of this one's state.
    Such a process has the wall of an agent; the others are trusted with all that the kernel's process may do.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments object."""
    function: Function
    timeout_s: float
    concurrency: int
    process: bool
    _signature: Signature = field(repr=False)
    _left: list[Thread] = field(default_factory=list, init=False, repr=False)
    """Threads of calls that were given up and that may hang still."""

    @property
    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(name=self.name, description=self.description, parameters=self.parameters)

    async def __call__(self, arguments: Mapping[str, JsonValue], walls: Walls = Walls()) -> JsonValue:  # noqa: B008 - frozen
        """The function's result as JSON; a process of its own is behind the wall that `walls` give to its name.

        Raises BadRequest for arguments off the schema, any AiosError that the function raises, and ToolFailed for
        its other errors, for a result that is not JSON or over 16 MiB, and after `timeout_s`.
        """
        values = self._signature.bind(arguments, f"tool {self.name}")
        with move_on_after(self.timeout_s):
            if inspect.iscoroutinefunction(self.function):
                with self._failures():
                    return self._as_json(await self.function(**values))
            if self.process:
                return await in_process(self.function.__module__, self.name, arguments, self.timeout_s + 1, walls)
            self._require_thread()
            return await in_thread(lambda: self._run(values), self._left)
        why = f"gave no answer within {self.timeout_s:g} s and was given up"
        raise ToolFailed(f"tool {self.name} {why}; ask for less, or raise its timeout_s", tool=self.name)

    def answer(self, arguments: Mapping[str, JsonValue]) -> JsonValue:
        """As calling it, but here and now, for a plain function, without a time limit."""
        return self._run(self._signature.bind(arguments, f"tool {self.name}"))

    def _run(self, values: dict[str, Any]) -> JsonValue:
        with self._failures():
            return self._as_json(self.function(**values))

    def _require_thread(self) -> None:
        """Threads that hang cannot be ended, so their number is bounded instead."""
        self._left[:] = [thread for thread in self._left if thread.is_alive()]
        if len(self._left) >= self.concurrency:
            why = f"still hangs in {len(self._left)} earlier calls; restart the kernel, or declare it with process=True"
            raise ToolFailed(f"tool {self.name} {why}", tool=self.name)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turns whatever the function raises into ToolFailed, but for an AiosError; SystemExit ends no kernel."""
        try:
            yield
        except (Exception, SystemExit) as raised:
            error: BaseException = raised
            while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]
            if isinstance(error, AiosError):
                raise error from error.__cause__
            kind, message = type(error).__name__, str(error)[:MAX_MESSAGE]
            why = f"tool {self.name} raised {kind}: {message}; check its arguments, or repair it"
            raise ToolFailed(why, tool=self.name, exception=kind) from error

    def _as_json(self, value: Any) -> JsonValue:
        try:
            data = to_json(value)
            if len(data) <= MAX_REPLY_BYTES:
                return from_json(data, allow_inf_nan=False)  # type: ignore[no-any-return]
        except ValueError as error:
            why = f"returned {type(value).__name__}, which JSON cannot express: {error}; return plain values"
            raise ToolFailed(f"tool {self.name} {why}", tool=self.name) from error
        why = f"returned {len(data)} bytes, and {MAX_REPLY_BYTES} is the limit; return less, or write a file"
        raise ToolFailed(f"tool {self.name} {why}", tool=self.name)


@overload
def tool(function: Function, /) -> Tool: ...


@overload
def tool(
    *, name: str | None = None, timeout_s: float = 30, concurrency: int = 4, process: bool = False
) -> Callable[[Function], Tool]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    timeout_s: float = 30,
    concurrency: int = 4,
    process: bool = False,
) -> Tool | Callable[[Function], Tool]:
    """Make a function a Tool: its name, the first paragraph of its docstring, its typed parameters.

    `Annotated[int, Field(description=...)]` describes a parameter. Raises TypeError for a function that cannot be one.
    """

    def make(function: Function) -> Tool:
        if process:
            _require_importable(function)
        signature = Signature(function)
        description = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        title = name or function.__name__
        if not NAME.fullmatch(title):
            raise TypeError(f"tool {title!r}: a name has 1 to 64 letters, digits, _ . and -; give one with name=")
        return Tool(title, description, signature.parameters, function, timeout_s, concurrency, process, signature)

    return make if function is None else make(function)


def _require_importable(function: Function) -> None:
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"tool {function.__name__}: process=True is for plain functions; drop `async`")
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        why = "a process of its own cannot import it from here; move it to the top level of another file"
        raise TypeError(f"tool {function.__name__}: {why}, or drop process=True")
