"""What an agent program raised, in one line for whoever waits for it."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import FrameType

from aios_syscalls import AgentFailed, AiosError

MAX_TEXT = 4_000
"""Characters of the error's own text that are passed on; the log has all of it."""


def failure(error: BaseException, program: Path) -> AiosError:
    """The error as one of the ABI, whose message names the last line of the program's own that was being run."""
    cause = single(error)
    if isinstance(cause, AiosError):
        return cause
    name, more = type(cause).__name__, ""
    if isinstance(cause, BaseExceptionGroup):
        cause, more = first(cause), f" (and {leaves(cause) - 1} more errors, in its log)"
        name = type(cause).__name__
    if isinstance(cause, SystemExit):
        left = f"{program.stem} left by SystemExit({cause.code!r:.200}) at {place(cause, program)}"
        return AgentFailed(f"{left}; return a str instead")
    text = str(cause)[:MAX_TEXT]
    said = f": {text}" if text else ""
    return AgentFailed(f"{program.stem} raised {name} at {place(cause, program)}{said}{more}")


def single(error: BaseException) -> BaseException:
    """The one error within groups of one, as task groups raise them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def first(error: BaseException) -> BaseException:
    """The first error within groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def leaves(error: BaseException) -> int:
    """How many errors a group holds."""
    return sum(map(leaves, error.exceptions)) if isinstance(error, BaseExceptionGroup) else 1


def place(error: BaseException, program: Path) -> str:
    """Where an error was raised, `file:line`: of the calls that led to it the last within the program's file.

    If none is there, the last within its directory, or else the last of all.
    """
    calls = list(traceback.walk_tb(error.__traceback__))
    own = [call for call in calls if _file(call[0]) == program]
    near = [call for call in calls if _file(call[0]).is_relative_to(program.parent)]
    for frame, line in (own or near or calls)[-1:]:
        return f"{_file(frame).name}:{line}"
    return program.name


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename)
