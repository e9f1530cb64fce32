"""Bytes by their SHA-256, kept once: small ones in the database, as deltas where they have a base, others as files."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aios_storage.disk.failpoint import reach
from aios_storage.versions import delta
from aios_storage.versions.store import settle
from aios_syscalls.errors import NotFound, StorageFailed

IN_DATABASE = 1024 * 1024
"""Bytes above which a blob is a file of its own."""
DEPTH = 16
"""Deltas between a blob and the one that is whole: so many steps does it take to read it."""
LEVEL = 6


class Blobs:
    """The bytes of all versions that are kept. Every method takes the connection whose transaction it is part of."""

    def __init__(self, place: Path) -> None:
        self._place = place / "blobs"

    def put(self, connection: sqlite3.Connection, data: bytes, base: bytes | None, most: int) -> bytes:
        """Keep bytes unless they are more than `most`, and say their SHA-256; `base` is that of bytes they are like."""
        key = hashlib.sha256(data).digest()
        if len(data) <= most and not self.has(connection, key):
            encoding, stored, base, depth = self._encode(connection, key, data, base)
            connection.execute(
                "INSERT INTO blob (sha256, size, encoding, data, base, depth) VALUES (?, ?, ?, ?, ?, ?)",
                (key, len(data), encoding, stored, base, depth),
            )
        return key

    def has(self, connection: sqlite3.Connection, key: bytes) -> bool:
        """Whether bytes are kept."""
        return connection.execute("SELECT 1 FROM blob WHERE sha256 = ?", (key,)).fetchone() is not None

    def get(self, connection: sqlite3.Connection, key: bytes) -> bytes:
        """Bytes by their SHA-256. Raises NotFound where they are not kept, StorageFailed where they are damaged."""
        data = self._decode(connection, key)
        if hashlib.sha256(data).digest() != key:
            raise StorageFailed(f"the kept bytes {key.hex()[:12]} are damaged: {FSCK}")
        return data

    def drop(self, connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
        """Forget bytes; what was kept as its difference from them is made whole first."""
        for key in keys:
            based = "SELECT sha256 FROM blob WHERE base = ?"
            for (other,) in connection.execute(based, (key,)).fetchall():
                data = self._decode(connection, other)
                connection.execute(
                    "UPDATE blob SET encoding = 'zlib', data = ?, base = NULL, depth = 0 WHERE sha256 = ?",
                    (zlib.compress(data, LEVEL), other),
                )
            reach("drop-blob")
            connection.execute("DELETE FROM blob WHERE sha256 = ?", (key,))

    def sweep(self, connection: sqlite3.Connection) -> int:
        """Remove the files of no blob, which crashes and drops leave; returns their bytes."""
        freed = 0
        for file in self._place.glob("*/*"):
            with suppress(ValueError):
                if self.has(connection, bytes.fromhex(file.name)):
                    continue
            freed += file.stat().st_size
            file.unlink()
        return freed

    def _encode(
        self, connection: sqlite3.Connection, key: bytes, data: bytes, base: bytes | None
    ) -> tuple[str, bytes | None, bytes | None, int]:
        if len(data) > IN_DATABASE:
            self._write(key, data)
            return "file", None, None, 0
        whole = zlib.compress(data, LEVEL)
        row = None
        if base is not None:
            row = connection.execute("SELECT depth, size FROM blob WHERE sha256 = ?", (base,)).fetchone()
        if row is not None and row[0] < DEPTH and row[1] <= IN_DATABASE:
            difference = delta.encode(data, self._decode(connection, base or b""))
            if len(difference) < len(whole):
                return "delta", difference, base, row[0] + 1
        return ("zlib", whole, None, 0) if len(whole) < len(data) else ("raw", data, None, 0)

    def _decode(self, connection: sqlite3.Connection, key: bytes) -> bytes:
        row = connection.execute("SELECT encoding, data, base, size FROM blob WHERE sha256 = ?", (key,)).fetchone()
        if row is None:
            raise NotFound(f"the bytes {key.hex()[:12]} are not kept: they were pruned, or too large to keep")
        encoding, data, base, _ = row
        try:
            match encoding:
                case "raw":
                    return bytes(data)
                case "zlib":
                    return zlib.decompress(data)
                case "delta":
                    return delta.decode(data, self._decode(connection, base))
                case _:
                    return zlib.decompress(self._file(key).read_bytes())
        except (OSError, ValueError, zlib.error) as error:
            raise StorageFailed(f"the kept bytes {key.hex()[:12]} cannot be read ({error}): {FSCK}") from error

    def _file(self, key: bytes) -> Path:
        name = key.hex()
        return self._place / name[:2] / name

    def _write(self, key: bytes, data: bytes) -> None:
        """A file that is whole on the disk before the row that speaks of it."""
        file = self._file(key)
        self._place.mkdir(mode=0o700, exist_ok=True)
        if not file.parent.exists():
            file.parent.mkdir(mode=0o700)
            settle(self._place)
        temporary = file.with_name(f".{secrets.token_hex(8)}")
        try:
            with temporary.open("wb") as sink:
                sink.write(zlib.compress(data, 1))
                sink.flush()
                os.fsync(sink.fileno())
            reach("blob-file")
            temporary.replace(file)
            settle(file.parent)
        finally:
            temporary.unlink(missing_ok=True)


FSCK = "see what else is with `aios files fsck`; other versions are not touched by it"
