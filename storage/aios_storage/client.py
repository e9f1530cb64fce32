"""Asking the owner of a root's index, and starting one where there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aios_storage.embedders import open_embedder
from aios_storage.filters import Selection
from aios_storage.owner import ANOTHER
from aios_storage.wire import address, receive, send
from aios_syscalls.errors import StorageFailed, from_wire

ANSWER_S = 30.0
START_S = 30.0
AGAIN_S = 5.0
"""Before an owner that could not be started is tried again."""


class Owner:
    """The running owner of a root's index, as others see it; any number of threads may ask at once."""

    def __init__(self, root: Path, child: subprocess.Popen[bytes] | None = None) -> None:
        self._address = address(root)
        self._child = child
        # A connection that is held says that somebody still wants the owner.
        self._held = self._connect()
        self._model = str(self.status()["model"])

    @classmethod
    def find(cls, root: Path) -> Owner | None:
        """The owner that there is, None for none."""
        with suppress(OSError):
            return cls(root)
        return None

    @classmethod
    def start(cls, root: Path, embedder: str, *options: str) -> Owner:
        """The owner that there is, or a child of this process. Raises StorageFailed where none comes to be."""
        if found := cls.find(root):
            return found
        command = [sys.executable, "-m", "aios_storage.owner", str(root), "--embedder", embedder, "--child", *options]
        # A session of its own: Ctrl-C on the terminal is meant for others.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with suppress(OSError):
                return cls(root, child)
            if child.poll() is not None:
                said = child.stderr.read().decode("utf-8", "replace").strip() if child.stderr else ""
                if child.returncode == ANOTHER and (found := cls.find(root)):
                    return found
                if child.returncode != ANOTHER:
                    raise StorageFailed(f"the index's owner ended at once: {said[-500:] or child.returncode}")
            time.sleep(0.02)
        raise StorageFailed(f"the index's owner did not answer within {START_S:g} s; see what keeps the machine busy")

    @property
    def model(self) -> str:
        """The id of its embedder."""
        return self._model

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[tuple[bytes, float]]:
        """The nearest pieces. Raises StorageFailed where the owner is gone."""
        condition = None if among is None else [among.sql, list(among.parameters)]
        reply = self._ask({"do": "nearest", "text": text, "limit": limit, "among": condition})
        return [(bytes.fromhex(hash), score) for hash, score in reply["found"]]

    def status(self) -> dict[str, Any]:
        """How far the index is: phase, pending files and chunks, embedder, Chroma, problems."""
        return dict(self._ask({"do": "status"})["status"])

    def reembed(self) -> None:
        """Have everything embedded by its embedder, whatever was before."""
        self._ask({"do": "reembed"})

    def stop(self) -> None:
        """End it, in order; returns when it has."""
        with suppress(StorageFailed):
            self._ask({"do": "stop"})
        self.close()
        if self._child is not None:
            self._child.wait()

    def close(self) -> None:
        """Let go: as a child it ends when nobody else asks it."""
        self._held.close()
        if self._child is not None:
            for pipe in (self._child.stdin, self._child.stderr):
                if pipe:
                    pipe.close()
            # It may outlive this call for others' sake; whenever it ends, it leaves no zombie.
            threading.Thread(target=self._child.wait, daemon=True).start()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(self._address))
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            with self._connect() as connection:
                send(connection, message)
                reply = receive(connection)
        except OSError as error:
            raise StorageFailed(f"the index's owner does not answer: {error}") from error
        if reply is None:
            raise StorageFailed("the index's owner ended while it was asked")
        if "error" in reply:
            raise from_wire(reply["error"])
        return reply


class Meaning:
    """The nearest pieces by whichever owner there is, or a child that is started at the first question."""

    def __init__(self, root: Path, embedder: str) -> None:
        self._root, self._embedder = root, embedder
        self._lock = threading.Lock()
        self._owner: Owner | None = None
        self._failed: StorageFailed | None = None
        self._again = 0.0

    @property
    def model(self) -> str:
        return open_embedder(self._embedder).id

    @property
    def owner(self) -> Owner | None:
        """The owner that was asked last."""
        return self._owner

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[tuple[bytes, float]]:
        """The nearest pieces; by a new owner where the last one is gone. Raises StorageFailed while there is none."""
        with suppress(StorageFailed):
            return self.reach().nearest(text, limit, among)
        with self._lock:
            if self._owner is not None:
                self._owner.close()
            self._owner = None
        return self.reach().nearest(text, limit, among)

    def reach(self) -> Owner:
        """The owner. Raises StorageFailed where there is none and none can be started."""
        with self._lock:
            if self._owner is None:
                if self._failed is not None and time.monotonic() < self._again:
                    raise self._failed
                try:
                    self._owner = Owner.start(self._root, self._embedder)
                    self._failed = None
                except StorageFailed as error:
                    self._failed, self._again = error, time.monotonic() + AGAIN_S
                    raise
            return self._owner

    def close(self) -> None:
        """Let go of the owner."""
        with self._lock:
            if self._owner is not None:
                self._owner.close()
            self._owner = None
