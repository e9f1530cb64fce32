"""Who may come in over HTTP: the home's own token, and those of commands that run under `aios exec`."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aios.private import sync_directory
from aios.regular import read_regular
from aios.server.door import Principal
from aios_syscalls import Denied, StorageFailed

OWN = Principal("user")
"""Whoever has the home's own token."""
MAX_TOKEN = 1_024
MIN_TOKEN = 32
"""Characters, of which the kernel makes 43: what a disk has cut short could be guessed."""


def home_token(path: Path) -> str:
    """The token in a file, made where it is not there. Raises Denied for a file that others can read."""
    if not os.path.lexists(path):
        _make_token(path)
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077 or status.st_uid != os.getuid():
        raise Denied(
            f"the token in {path} may be known to others (mode {stat.S_IMODE(status.st_mode):o}); remove the file, and "
            "a new one is made"
        )
    token = read_regular(path, most=MAX_TOKEN).data.decode("ascii", "replace").strip()
    if not token:
        raise StorageFailed(f"the token file {path} is empty; remove it, and a new one is made")
    if len(token) < MIN_TOKEN:
        raise StorageFailed(
            f"the token in {path} has {len(token)} characters, and one under {MIN_TOKEN} can be guessed; remove the "
            "file, and a new one is made"
        )
    return token


def _make_token(path: Path) -> None:
    # Written beside its place and put there whole: nobody finds it empty, whenever its maker is killed or power is cut.
    with tempfile.NamedTemporaryFile("w", prefix=f".{path.name}-", dir=path.parent) as fresh:  # mode 0600
        fresh.write(secrets.token_urlsafe(32) + "\n")
        fresh.flush()
        os.fsync(fresh.fileno())
        with suppress(FileExistsError):  # another one's, made meanwhile
            os.link(fresh.name, path)
    sync_directory(path.parent)


class Tokens:
    """Tells by a secret who comes."""

    def __init__(self, own: str) -> None:
        self.own = own
        self._lent: dict[str, Principal] = {}

    def admit(self, secret: str) -> Principal | None:
        """Whose token it is; None where it is nobody's."""
        given = secret.encode("utf-8", "replace")
        if hmac.compare_digest(given, self.own.encode()):
            return OWN
        for token, principal in self._lent.items():
            if hmac.compare_digest(given, token.encode()):
                return principal
        return None

    @contextmanager
    def lent(self, principal: Principal) -> Iterator[str]:
        """A token of one command's, as long as that runs."""
        token = secrets.token_urlsafe(32)
        self._lent[token] = principal
        try:
            yield token
        finally:
            del self._lent[token]
