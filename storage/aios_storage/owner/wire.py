"""What the owner of an index and those who ask it say to each other: JSON objects behind their lengths."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import tempfile
from pathlib import Path
from typing import Any

from aios_syscalls.errors import StorageFailed

_LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 16 * 1024 * 1024


def owner_address(root: Path) -> Path:
    """Where the owner of a root's index listens: short, since an address of a socket has 107 bytes at most.

    Raises StorageFailed where the directory for it is somebody else's.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    directory = base / ("aios" if "XDG_RUNTIME_DIR" in os.environ else f"aios-{os.getuid()}")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = directory.lstat()
    if info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise StorageFailed(f"{directory} is open to others; remove it, or make it yours alone (chmod 700)")
    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]
    return directory / f"{name}.sock"


def send(to: socket.socket, message: dict[str, Any]) -> None:
    """One message."""
    data = json.dumps(message, separators=(",", ":")).encode()
    to.sendall(_LENGTH.pack(len(data)) + data)


def receive(of: socket.socket) -> dict[str, Any] | None:
    """One message; None where the other side is gone."""
    head = _exactly(of, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise ConnectionError(f"a message of {length} bytes")
    data = _exactly(of, length)
    return None if data is None else dict(json.loads(data))


def _exactly(of: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = of.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)
