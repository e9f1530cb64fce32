"""What an agent program raised, in one line for whoever waits for it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from aios.wall import Level, refusal_hint
from aios_syscalls import AgentFailed, AiosError

LIBRARIES = (Path(__file__).parents[1],)
"""Where code lies that is no agent's, beside Python's own places."""
MAX_TEXT = 4_000
"""Characters of the error's own text that are passed on; the log has all of it."""


def failure(error: BaseException, name: str, program: Path | None = None, level: Level = "off") -> AiosError:
    """The error as one of the ABI.

    The message of an error that is none names the last line of the program's own that was being run, if its file is
    known. What the wall of this level has refused is said with what to do about it.
    """
    cause = single(error)
    if isinstance(cause, AiosError):
        return cause
    alone, more = first(cause), leaves(cause) - 1
    # One that was put into a group without being raised was so where the group was.
    where = f" at {place(alone if alone.__traceback__ else error, program)}" if program else ""
    if isinstance(alone, SystemExit):
        return AgentFailed(f"{name} left by SystemExit({_text(alone.code, repr):.200}){where}; return a str instead")
    text = _text(alone, str)[:MAX_TEXT]
    told = f"{name} raised {type(alone).__name__}{where}" + (f": {text}" if text else "")
    told = f"{told} (and {more} more, in its log)" if more else told
    return AgentFailed(told + refusal_hint(alone, level))


def _text(value: object, how: Callable[[object], str]) -> str:
    """A program's own object in words, or that it has none."""
    try:
        return how(value)
    except Exception as error:
        return f"(its text cannot be had: {type(error).__name__})"


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
    near = [call for call in calls if _is_near(_file(call[0]), program)]
    for frame, line in (own or near or calls)[-1:]:
        return f"{_file(frame).name}:{line}"
    return program.name


def own_place(error: BaseException, program: Path) -> str | None:
    """The same, where the program's own file has part in it."""
    if any(_file(frame) == program for frame, _ in traceback.walk_tb(error.__traceback__)):
        return place(error, program)
    return None


def _file(frame: FrameType) -> Path:
    return Path(frame.f_code.co_filename)


def _is_near(file: Path, program: Path) -> bool:
    """Whether a file lies beside a program, and is not that of a library that happens to be there too."""
    libraries = (sys.prefix, sys.base_prefix, *LIBRARIES)
    return file.is_relative_to(program.parent) and not any(file.is_relative_to(library) for library in libraries)
