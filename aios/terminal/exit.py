"""Exit codes, and how an error is told to whoever called the command."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import ParamSpec

import typer

P = ParamSpec("P")


class Code(IntEnum):
    """How a command ended."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    NO_KERNEL = 4
    LIMIT = 5
    DENIED = 6
    EXPIRED = 7
    MODEL = 8
    INTERRUPTED = 130


EPILOG = """\b
Exit codes:
  0 ok                      5 budget or limit refused
  1 error or no match       6 denied
  2 usage                   7 expired
  3 not found               8 model unavailable
  4 kernel not running    130 interrupted
"""

BY_ERROR: Mapping[str, Code] = {
    "bad_request": Code.USAGE,
    "not_found": Code.NOT_FOUND,
    "denied": Code.DENIED,
    "model_failed": Code.MODEL,
    "overloaded": Code.LIMIT,
    "budget_exceeded": Code.LIMIT,
    "expired": Code.EXPIRED,
    "no_kernel": Code.NO_KERNEL,
}
"""By `AiosError.code`; an error that is not named here is `Code.ERROR`."""


def code_of(error_code: str) -> Code:
    """The exit code of a command that an AiosError ended."""
    return BY_ERROR.get(error_code, Code.ERROR)


def guarded(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command whose return value is its exit code, and whose AiosError is told in one line."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        from aios.terminal.output import begin_saying, say

        begin_saying()
        try:
            code = command(*args, **kwargs) or Code.OK
            sys.stdout.flush()
        except KeyboardInterrupt:
            say("interrupted")
            code = Code.INTERRUPTED
        except Exception as error:
            code = _tell(error, as_json=bool(kwargs.get("as_json")))
        raise typer.Exit(code)

    return run


def _tell(error: Exception, *, as_json: bool) -> Code:
    from aios.terminal.output import print_json, say
    from aios.terminal.streams import OutputFailed
    from aios_syscalls import AiosError

    if isinstance(error, BrokenPipeError):
        return Code.ERROR  # who read has enough, as `head` has
    if not isinstance(error, AiosError):
        raise error
    say(error.message)
    if as_json and not isinstance(error, OutputFailed):
        print_json({"error": error.to_wire()})
        sys.stdout.flush()
    return code_of(error.code)
