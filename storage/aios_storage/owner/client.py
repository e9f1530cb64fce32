"""Asking the owner of a root's index, and starting one where there is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aios_storage.embedders import open_embedder
from aios_storage.index.filters import Selection
from aios_storage.owner.daemon import ANOTHER
from aios_storage.owner.wire import owner_address, receive, send
from aios_storage.versions.store import open_own, own
from aios_syscalls.errors import StorageFailed, from_wire

ANSWER_S = 15.0
START_S = 30.0
PATIENCE_S = 0.2
"""For which a question waits for a new owner after the last one died, before it goes on without."""
RUN_MODULE = (sys.executable, "-P", "-m")
"""Starts an owner as it is. -P: what lies in the working directory is never imported."""
STOP_S = 60.0
"""For which an owner may write what it has before it ends."""
AGAIN_S = 5.0
"""Before an owner that could not be started is tried again."""


class OwnerClient:
    """The running owner of a root's index, as others see it; any number of threads may ask at once."""

    def __init__(self, root: Path, child: subprocess.Popen[bytes] | None = None) -> None:
        self._address = owner_address(root)
        self._child = child
        # A connection that is held says that somebody still wants the owner.
        self._held = self._connect()
        try:
            self._model = str(self.status()["model"])
        except BaseException:
            self._held.close()
            raise

    @classmethod
    def find(cls, root: Path) -> OwnerClient | None:
        """The owner that there is, None for none."""
        with suppress(OSError, StorageFailed):
            return cls(root)
        return None

    @classmethod
    def start(cls, root: Path, embedder: str, *options: str, launcher: Sequence[str] = RUN_MODULE) -> OwnerClient:
        """The owner that there is, or a child of this process. Raises StorageFailed where none comes to be.

        `launcher` is the command that runs a module, and may put a wall around it.
        """
        if found := cls.find(root):
            return found
        command = [*launcher, "aios_storage.owner.daemon", str(root)]
        command += ["--embedder", embedder, "--child", *options]
        child = _spawn(command, root)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if child.poll() is None:
                with suppress(OSError, StorageFailed):
                    return cls(root, child)
            elif child.returncode != ANOTHER:
                _let_go(child)
                raise StorageFailed(f"the index's owner ended at once: {_said(root) or child.returncode}")
            elif found := cls.find(root):
                _let_go(child)
                return found
            else:  # the other one is about to end, or has only begun
                _let_go(child)
                child = _spawn(command, root)
            time.sleep(0.02)
        _let_go(child)
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
        # It ends every conversation when it has ended itself.
        with suppress(OSError):
            self._held.settimeout(STOP_S)
            self._held.recv(1)
        if self._child is not None:
            self._child.wait()
        self.close()

    def close(self) -> None:
        """Let go: as a child it ends when nobody else asks it."""
        self._held.close()
        if self._child is not None:
            _let_go(self._child)

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


class OwnedVectors:
    """The nearest pieces by whichever owner there is, or a child that is started at the first question."""

    def __init__(self, root: Path, embedder: str, *options: str, launcher: Sequence[str] = RUN_MODULE) -> None:
        self._root, self._embedder, self._options, self._launcher = root, embedder, options, launcher
        self._died = False
        self._lock = threading.Lock()
        self._closed = False
        self._owner: OwnerClient | None = None
        self._starting: threading.Thread | None = None
        self._failed: StorageFailed | None = None
        self._again = 0.0

    @property
    def model(self) -> str:
        return open_embedder(self._embedder).id

    @property
    def owner(self) -> OwnerClient | None:
        """The owner that was asked last."""
        return self._owner

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[tuple[bytes, float]]:
        """The nearest pieces; by a new owner where the last one is gone. Raises StorageFailed while there is none."""
        owner = self.reach()
        try:
            return owner.nearest(text, limit, among)
        except StorageFailed:
            self._lost(owner)
        return self.reach(PATIENCE_S).nearest(text, limit, among)

    def reach(self, patience: float = START_S) -> OwnerClient:
        """The owner, waited for so many seconds. Raises StorageFailed where there is none by then."""
        with self._lock:
            if self._owner is not None:
                return self._owner
            if self._closed:
                raise StorageFailed(f"finding by meaning below {self._root} was closed; open its root again")
            if self._failed is not None and time.monotonic() < self._again:
                raise self._failed
            if self._starting is None:
                self._failed = None
                self._starting = threading.Thread(target=self._start, name="owner", daemon=True)
                self._starting.start()
            starting = self._starting
        starting.join(patience if not self._died else min(patience, PATIENCE_S))
        with self._lock:
            if self._owner is not None:
                return self._owner
            raise self._failed or StorageFailed(
                "the index's owner ended and a new one is starting; ask again in a moment"
                if self._died
                else "the index's owner is starting; ask again in a moment"
            )

    def close(self) -> None:
        """Let go of the owner."""
        with self._lock:
            self._closed = True
            if self._owner is not None:
                self._owner.close()
            self._owner = None

    def _start(self) -> None:
        try:
            owner = OwnerClient.start(self._root, self._embedder, *self._options, launcher=self._launcher)
        except StorageFailed as error:
            with self._lock:
                self._failed, self._again, self._starting = error, time.monotonic() + AGAIN_S, None
            return
        with self._lock:
            self._starting = None
            if self._closed:
                owner.close()
            else:
                self._owner, self._died = owner, False

    def _lost(self, owner: OwnerClient) -> None:
        """Forget an owner that does not answer."""
        with self._lock:
            if self._owner is owner:
                owner.close()
                self._owner, self._died = None, True


def _spawn(command: list[str], root: Path) -> subprocess.Popen[bytes]:
    """A child in a session of its own: an interrupt at the terminal is not meant for it."""
    with open(open_own(_log(root), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )


def _said(root: Path) -> str:
    """The end of what a child said of its own end."""
    return _log(root).read_text("utf-8", "replace").strip()[-500:]


def _log(root: Path) -> Path:
    return own(root) / "owner.log"


def _let_go(child: subprocess.Popen[bytes]) -> None:
    """Have a child end by itself, and not stay as a zombie."""
    if child.stdin:
        child.stdin.close()
    threading.Thread(target=child.wait, name="reaper", daemon=True).start()
