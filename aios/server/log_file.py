"""The daemon's log: a file that gives way to a new one when it is full, for what Python logs and for crashes alike."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3
"""Older files, named .1, .2, .3."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class DaemonLog(RotatingFileHandler):
    """Writes to a file of this user's alone; where standard error is that file too, it goes along to the next one."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8")
        self.holds_stderr = _same(self._descriptor(), 2)

    def _open(self) -> io.TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", errors="backslashreplace", opener=_private)

    def doRollover(self) -> None:
        super().doRollover()
        if self.holds_stderr:
            for descriptor in (1, 2):
                os.dup2(self._descriptor(), descriptor)

    def _descriptor(self) -> int:
        assert self.stream is not None  # as it is opened at once
        return self.stream.fileno()


def begin_log(path: Path, level: int = logging.INFO) -> None:
    """Have all that is logged go to the daemon's file, and to a terminal or a service manager that runs it."""
    file = DaemonLog(path)
    handlers: list[logging.Handler] = [file]
    if not file.holds_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    logging.basicConfig(level=level, format=FORMAT, handlers=handlers, force=True)
    logging.captureWarnings(True)
    for noisy in ("httpx2", "httpx", "httpcore"):  # a line for each call to a model
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _same(one: int, other: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(one), os.fstat(other))
    return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
