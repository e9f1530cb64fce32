"""A program in a real pseudo-terminal, and what a person would see on its screen."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

PATIENCE_S = 30.0


class Answering(pyte.HistoryScreen):
    """A screen that answers when it is asked where its cursor is."""

    def __init__(self, columns: int, lines: int, answer: Callable[[str], None]) -> None:
        super().__init__(columns, lines, history=10_000)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data)


class Terminal:
    """Runs a command on a pseudo-terminal of its own, whose screen is emulated."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], rows: int = 30, columns: int = 100
    ) -> None:
        self.screen = Answering(columns, rows, self.type)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.code: int | None = None
        self._pid, self._fd = pty.fork()
        if not self._pid:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execvpe(command[0], list(command), dict(environment))
            finally:
                os._exit(127)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.code is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    @property
    def text(self) -> str:
        """What the screen shows, without trailing blanks."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def type(self, keys: str) -> None:
        """Press keys; `\\r` is Enter, `\\t` Tab, `\\x04` Ctrl-D."""
        os.write(self._fd, keys.encode())

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self.type(f"{line}\r")

    def until(self, seen: str | Callable[[str], bool], patience_s: float = PATIENCE_S) -> str:
        """Read until the screen shows something (blanks at line ends aside), and return what it shows.

        Raises AssertionError when it never does.
        """
        test = seen if callable(seen) else lambda text: seen in text
        limit = time.monotonic() + patience_s
        while not test(self.text):
            left = limit - time.monotonic()
            more = left > 0 and self._read(left)
            assert more, f"not seen: {seen}\n--- screen ---\n{self.text}\n--- end ---"
        return self.text

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Read until the program has ended; its exit code."""
        limit = time.monotonic() + patience_s
        while self._read(limit - time.monotonic()):
            pass
        pid, status = os.waitpid(self._pid, 0 if time.monotonic() < limit else os.WNOHANG)
        assert pid, f"it does not end\n--- screen ---\n{self.text}\n--- end ---"
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def _read(self, left: float) -> bool:
        """Take what the program writes next; False when it never will."""
        ready, _, _ = select.select([self._fd], [], [], max(left, 0))
        if not ready:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux says that nobody holds the other end
                raise
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)
