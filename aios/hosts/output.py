"""What an agent prints, kept in a file of bounded size."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 65_536
REST = f"[aios] the rest is not kept: the log of a process holds {MAX_BYTES >> 20} MiB\n"


class AgentLog:
    """A file, and the pipe that feeds it: what is written to `writing` is kept up to MAX_BYTES, and then dropped.

    So a process that floods its log is slowed by the pipe, and fills no disk. A disk that is full costs the log alone.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.reading, self.writing = os.pipe()
        except OSError:
            os.close(self._file)
            raise
        os.set_blocking(self.reading, False)
        self._left = max(0, MAX_BYTES - os.fstat(self._file).st_size)

    def take(self) -> bool:
        """Keep a piece of what is in the pipe; whether there may be more now."""
        try:
            data = os.read(self.reading, PIECE_BYTES)
        except BlockingIOError:
            return False
        self._keep(data)
        return bool(data)

    def note(self, text: str) -> None:
        """Add a line of the kernel's own."""
        self._write(f"[aios] {text}\n".encode())

    def drain(self) -> None:
        """Keep what is in the pipe, which may be more than a pipe holds while somebody writes on."""
        for _ in range(MAX_BYTES // PIECE_BYTES):
            if not self.take():
                return

    def close(self) -> None:
        """Close the file and the end of the pipe that is read."""
        os.close(self._file)
        os.close(self.reading)

    def _keep(self, data: bytes) -> None:
        if self._left == 0:
            return
        self._write(data[: self._left])
        self._left -= min(self._left, len(data))
        if self._left == 0:
            self._write(b"\n" + REST.encode())

    def _write(self, data: bytes) -> None:
        with suppress(OSError):
            while data:
                data = data[os.write(self._file, data) :]
