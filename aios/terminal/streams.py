"""The standard streams of the command: there, in an encoding that takes everything, and honest about what is lost."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from aios_syscalls.errors import StorageFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")


class OutputFailed(StorageFailed):
    """Standard output does not take what is written to it."""


class GuardedOutput(io.BufferedWriter):
    """Standard output; what cannot be written is an OutputFailed, and after it everything is dropped.

    A pipe that nobody reads any more stays a BrokenPipeError: that is no failure, but the reader's wish.
    """

    def write(self, data: ReadableBuffer) -> int:
        return self._try(lambda: super(GuardedOutput, self).write(data))

    def flush(self) -> None:
        self._try(super().flush)

    def _try(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except OSError as error:
            drop(self.fileno())
            if error.errno == errno.EPIPE:
                raise
            raise OutputFailed(
                f"standard output cannot be written: {error.strerror}; free space there, or redirect it elsewhere"
            ) from error


def drop(fd: int) -> None:
    """Have everything that is written to a descriptor vanish, so that the interpreter can end in peace."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != fd:
        os.dup2(nowhere, fd)
        os.close(nowhere)


def open_streams() -> bool:
    """Make the three streams usable, whatever they were started as; whether standard output is there.

    A closed descriptor would be the next file's that is opened: a database, into which results would be written.
    """
    there = sys.stdout is not None
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            drop(fd)
            setattr(sys, name, open(fd, "r" if fd == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    if there and isinstance(stream := sys.stdout, io.TextIOWrapper):
        stream.flush()
        sys.stdout = io.TextIOWrapper(
            GuardedOutput(io.FileIO(stream.fileno(), "w", closefd=False)),
            encoding=stream.encoding,
            errors="replace",  # an agent's answer may hold what the terminal's encoding does not
            line_buffering=stream.line_buffering or not isinstance(stream.buffer, io.BufferedWriter),
        )
    for stream in (sys.stdin, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return there


class SaysLog(logging.Handler):
    """A library's own warning as a line of ours: which file and which library it is of, and harmless.

    Of many about one file the first is told.
    """

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: tuple[str, str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        from aios.terminal.output import say
        from aios_storage import reading_apart

        path = reading_apart.get()
        if path and self._told == (path, record.name):
            return
        self._told = (path, record.name)
        with suppress(Exception):  # a record whose arguments do not fit its text is the library's fault
            say(f"{path and f'{path}: '}{record.name}: {record.getMessage()}", once=True)


def say_logs() -> None:
    """Have libraries' warnings told as ours are, instead of raw."""
    logging.captureWarnings(True)
    logging.getLogger().addHandler(SaysLog(logging.WARNING))
