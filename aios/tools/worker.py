"""The other end of `isolation.in_process`: one request on standard input, its outcome on standard output.

The wall is up before the tool's module is loaded: importing it already runs its code.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from aios.dumpable import set_dumpable
from aios.tools.registry import find_tool
from aios.wall import Level, Wall, enclose, put_up, refusal_hint
from aios_syscalls.errors import AiosError, ToolFailed, from_wire


def main() -> None:
    """Answer the request and exit."""
    set_dumpable(False)
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the tool prints is no part of the answer
    request = from_json(sys.stdin.buffer.read())
    # A kernel that was killed ends nobody: the alarm does, even in C code that holds the interpreter lock.
    signal.setitimer(signal.ITIMER_REAL, request["limit_s"])
    try:
        outcome: dict[str, Any] = {"ok": _answer(request, Wall.of(request["wall"]))}
    except AiosError as error:
        outcome = {"error": error.to_wire()}
    with open(answer, "wb") as file:
        file.write(to_json(outcome, fallback=str))


def _answer(request: dict[str, Any], wall: Wall) -> JsonValue:
    """What the tool answers behind its wall. Raises what it raises, with a hint where the wall has caused it."""
    _enter(wall, request["name"])
    try:
        return find_tool(request["module"], request["name"], request["sha256"]).answer(request["arguments"])
    except AiosError as error:
        raise _with_hint(error, request["name"], wall.level) from error


def _enter(wall: Wall, name: str) -> None:
    try:
        enclose()
        put_up(wall)
    except OSError as error:
        why = f"the wall around its process cannot be put up: {error}; see aios doctor"
        raise ToolFailed(f"tool {name}: {why}", tool=name) from error


def _with_hint(error: AiosError, name: str, level: Level) -> AiosError:
    """The same error; if the wall has caused it, with what the wall refused and how this tool gets more."""
    hint = refusal_hint(error, level)
    if not hint:
        return error
    more = f'a tool with process=True has the same wall: [wall] programs = {{ "{name}" = "off" }} in your configuration'
    wire = error.to_wire()
    return from_wire({**wire, "message": f"{error.message}{hint}; {more} takes it down for this tool"})


if __name__ == "__main__":
    main()
