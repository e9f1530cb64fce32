"""What a root remembers beside its files: saved queries, and which versions are served to whom."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aios_storage.versions.version_store import VersionStore
from aios_syscalls.errors import Denied, Exists, NotFound


@dataclass(frozen=True, slots=True)
class ShareLink:
    """A saved query, as whoever saved it spells queries."""

    name: str
    owner: str
    query: str


@dataclass(frozen=True, slots=True)
class Share:
    """A version, by its seq, that the bearer of the token may fetch until a time."""

    token: str
    owner: str
    seq: int
    until: float


class ShareLinks:
    """The saved queries of a root."""

    def __init__(self, version_store: VersionStore) -> None:
        self._version_store = version_store

    def save(self, name: str, owner: str, query: str, time: float) -> ShareLink:
        """Keep a query under a name. Raises Exists where another owner has the name."""
        with self._version_store.locked(), self._version_store.transaction() as connection:
            row = connection.execute("SELECT owner FROM link WHERE name = ?", (name,)).fetchone()
            if row and row[0] != owner:
                raise Exists(f"{row[0]} has a query named {name}; choose another name", field="link")
            connection.execute("INSERT OR REPLACE INTO link VALUES (?, ?, ?, ?)", (name, owner, query, time))
        return ShareLink(name, owner, query)

    def drop(self, name: str, owner: str) -> ShareLink:
        """Forget a query. Raises NotFound, or Denied for that of another owner."""
        link = self.get(name)
        if link.owner != owner:
            raise Denied(f"{name} is a query of {link.owner}; ask for it to be removed there", field="link")
        with self._version_store.locked(), self._version_store.transaction() as connection:
            connection.execute("DELETE FROM link WHERE name = ?", (name,))
        return link

    def get(self, name: str) -> ShareLink:
        """A query by its name. Raises NotFound."""
        row = (
            self._version_store.read().execute("SELECT name, owner, query FROM link WHERE name = ?", (name,)).fetchone()
        )
        if row is None:
            names = ", ".join(link.name for link in self.all())
            raise NotFound(f"there is no saved query {name}; there are: {names or 'none'}", field="link")
        return ShareLink(*row)

    def all(self) -> list[ShareLink]:
        """Every saved query, by name."""
        rows = self._version_store.read().execute("SELECT name, owner, query FROM link ORDER BY name")
        return [ShareLink(*row) for row in rows]


class Shares:
    """What is served of a root."""

    def __init__(self, version_store: VersionStore) -> None:
        self._version_store = version_store

    def open(self, seq: int, owner: str, until: float) -> Share:
        """Allow whoever has the new token to fetch a version until a time."""
        share = Share(secrets.token_urlsafe(24), owner, seq, until)
        with self._version_store.locked(), self._version_store.transaction() as connection:
            connection.execute("INSERT INTO share VALUES (?, ?, ?, ?)", (share.token, owner, seq, until))
        return share

    def get(self, token: str, now: float) -> Share:
        """What a token stands for. Raises NotFound for none, or one whose time is over."""
        row = (
            self._version_store.read()
            .execute("SELECT * FROM share WHERE token = ? AND until > ?", (token, now))
            .fetchone()
        )
        if row is None:
            raise NotFound("there is no such share, or its time is over; ask for a new one", field="token")
        return Share(*row)

    def close(self, token: str, owner: str) -> None:
        """End a share; one that is over already is no error. Raises Denied for that of another owner."""
        row = self._version_store.read().execute("SELECT owner FROM share WHERE token = ?", (token,)).fetchone()
        if row and row[0] != owner:
            raise Denied(f"that share is {row[0]}'s; only they can end it", field="token")
        with self._version_store.locked(), self._version_store.transaction() as connection:
            connection.execute("DELETE FROM share WHERE token = ?", (token,))

    def sweep(self, now: float) -> None:
        """Forget shares whose time is over."""
        with self._version_store.locked(), self._version_store.transaction(durable=False) as connection:
            connection.execute("DELETE FROM share WHERE until <= ?", (now,))
