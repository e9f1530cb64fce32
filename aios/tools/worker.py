"""The other end of `isolation.in_process`: one request on standard input, its outcome on standard output."""

from __future__ import annotations

import os
import signal
import sys

from pydantic_core import from_json, to_json

from aios.dumpable import set_dumpable
from aios.tools.registry import find_tool
from aios_syscalls.errors import AiosError


def main() -> None:
    """Answer the request and exit."""
    set_dumpable(False)
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the tool prints is no part of the answer
    request = from_json(sys.stdin.buffer.read())
    # A kernel that was killed ends nobody: the alarm does, even in C code that holds the interpreter lock.
    signal.setitimer(signal.ITIMER_REAL, request["limit_s"])
    try:
        tool = find_tool(request["module"], request["name"], request["sha256"])
        outcome = {"ok": tool.answer(request["arguments"])}
    except AiosError as error:
        outcome = {"error": error.to_wire()}
    with open(answer, "wb") as file:
        file.write(to_json(outcome, fallback=str))


if __name__ == "__main__":
    main()
