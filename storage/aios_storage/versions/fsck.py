"""Whether the truth is whole: every version's bytes, every head, every file."""

from __future__ import annotations

from dataclasses import dataclass

from aios_storage.disk.root import Root
from aios_storage.versions import rows
from aios_storage.versions.blobs import Blobs
from aios_storage.versions.version_store import VersionStore
from aios_syscalls.errors import AiosError


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and what is wrong; `outside` are files that other programs changed and no scan has met yet."""

    versions: int
    blobs: int
    files: int
    problems: tuple[str, ...]
    outside: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(root: Root, version_store: VersionStore, blobs: Blobs, max_kept: int) -> CheckReport:
    """Read everything. The caller holds the writers' lock."""
    connection = version_store.read()
    problems = version_store.check()
    count = 0
    for (key,) in connection.execute("SELECT sha256 FROM blob").fetchall():
        count += 1
        try:
            blobs.get(connection, key)
        except AiosError as error:
            problems.append(error.message)
    missing = connection.execute(
        "SELECT path, number FROM version WHERE sha256 IS NOT NULL AND size <= ? "
        "AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.sha256 = version.sha256)",
        (max_kept,),
    )
    problems += [f"the bytes of {path} in version {number} are missing" for path, number in missing]
    orphans = connection.execute(
        "SELECT path, number FROM version AS child WHERE parent IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM version WHERE version.seq = child.parent)"
    )
    problems += [f"what came before version {number} of {path} is missing" for path, number in orphans]
    outside = []
    heads = rows.heads(connection)
    for head in heads:
        row = connection.execute("SELECT max(seq) FROM version WHERE path = ?", (head.path,)).fetchone()
        last = connection.execute("SELECT sha256 FROM version WHERE seq = ?", (head.seq,)).fetchone()
        if row[0] != head.seq or last is None or last[0] != head.sha256:
            problems.append(f"{head.path} is not in its last version")
        try:
            if not head.looks_like(root.info(head.path)):
                outside.append(head.path)
        except AiosError:
            outside.append(head.path)
    living = connection.execute(
        "SELECT path FROM version WHERE seq IN (SELECT max(seq) FROM version GROUP BY path) AND sha256 IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM head WHERE head.path = version.path)"
    )
    problems += [f"{path} should be there, and has no head" for (path,) in living]
    (pending,) = connection.execute("SELECT count(*) FROM pending").fetchone()
    if pending:
        problems.append(f"{pending} changes were not finished; open the root once to have them finished")
    (versions,) = connection.execute("SELECT count(*) FROM version").fetchone()
    return CheckReport(versions, count, len(heads), tuple(problems), tuple(outside))
