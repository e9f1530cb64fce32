"""The journal's file: its tables, which version of them it has, how long a kernel that writes it lives."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import psutil

from aios.private import make_directories, sync_directory
from aios_syscalls import StorageFailed

T = TypeVar("T")
EventRow = tuple[int, int, int, int, int, str, int, int, str, int, int, str]
"""What one row of the table of events holds."""

VERSION = 3
"""Of the tables; a file of another one is refused."""
BUSY_S = 60.0
"""For how long a kernel waits for another's transaction."""
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems without locks of whole files say; those of SQLite's own kind they may have all the same."""
BOOTS = "SELECT id, os_pid, began FROM boot WHERE ended IS NULL"
"""The kernels that have not said that they ended."""
RETRY_FULL_S = 0.5
"""How often a kernel looks whether a full disk has room again."""
DRIFT_S = 60.0
"""By how much the wall clock may have been set forward while a kernel lived: one that lives is never taken for dead."""
OUTLINE = "('run','closed','spawned','exited')"
"""The kinds of events that tell which processes there were and how they ended."""

COLUMNS = "(boot, seq, previous, run, at, kind, pid, n, node, schema, checksum, data)"
"""Of the table of events, in the order of `EventRow`."""
STATEMENT_ROWS = 128
INSERT_BLOB = "INSERT INTO blob VALUES (?, 1, ?) ON CONFLICT (hash) DO UPDATE SET users = users + 1"

SCHEMA = f"""
CREATE TABLE boot (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    began   INTEGER NOT NULL,
    os_pid  INTEGER NOT NULL,
    ended   INTEGER
);
CREATE TABLE run (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    boot        INTEGER NOT NULL REFERENCES boot(id),
    began       INTEGER NOT NULL,
    ended       INTEGER,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    fingerprint TEXT
);
CREATE TABLE event (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    boot     INTEGER NOT NULL,
    run      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    pid      INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    node     TEXT NOT NULL,
    schema   INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    data     TEXT NOT NULL,
    previous INTEGER
);
CREATE INDEX event_outline ON event (run, seq) WHERE kind IN {OUTLINE};
CREATE INDEX event_spawned ON event (pid) WHERE kind = 'spawned';
CREATE TABLE payload (
    seq  INTEGER NOT NULL,
    key  TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (seq, key)
) WITHOUT ROWID;
CREATE TABLE blob (
    hash  BLOB PRIMARY KEY,
    users INTEGER NOT NULL,
    data  BLOB NOT NULL
);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO counter VALUES ('pid', 0);
PRAGMA user_version = {VERSION};
"""
"""`at`, `began` and `ended` are microseconds since the epoch; what came first is told by `seq` alone. `boot` counts the
starts of kernels. `previous` is the place of the run's event before this one, 0 in its first: so one that is lost, or
out of its place, is missed; rows of older versions have none. A payload is a value of an event's data; equal ones are
one blob, with the number of its users."""


UPGRADES = {
    1: f"""
ALTER TABLE run ADD COLUMN ended INTEGER;
DROP INDEX event_outline;
CREATE INDEX event_outline ON event (run, seq) WHERE kind IN {OUTLINE};
PRAGMA user_version = 2;
""",
    2: """
ALTER TABLE event ADD COLUMN previous INTEGER;
PRAGMA user_version = 3;
""",
}
"""By a version of the tables, what makes the next one of it."""


def open_to_write(path: Path) -> sqlite3.Connection:
    """The file, made where it is not there. Raises StorageFailed."""
    try:
        if not path.exists():
            make_directories(path.parent)
            sync_directory(path.parent.parent)  # also where another has made it, and has not synced it
        with suppress(FileExistsError):
            # Before SQLite opens it, whose side files take the same mode. Never one that is there: closing it would
            # take away the locks that SQLite has in this process.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        db = sqlite3.connect(path, BUSY_S, isolation_level=None, check_same_thread=False)
        with _alone(path):
            _prepare(db, path)
        return db
    except (OSError, sqlite3.Error) as error:
        raise cannot_write(path, error) from error


@contextmanager
def open_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, which is there. Raises StorageFailed, also for errors within the context."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", BUSY_S, uri=True)) as db:
            if _version(db) in UPGRADES:
                open_to_write(path).close()
            _check_version(db, path)
            yield db
    # A value of another type than was written is damage too: SQLite keeps whatever its bytes say.
    except (sqlite3.Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StorageFailed(f"the journal {path} cannot be read: {error}") from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, on the disk when it is through; no other kernel writes meanwhile."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def in_statements(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Slices of `rows` that are one statement each: of so few sizes that SQLite keeps every statement compiled."""
    done = 0
    while left := len(rows) - done:
        many = min(STATEMENT_ROWS, 1 << (left.bit_length() - 1))
        yield rows[done : done + many]
        done += many


def insert_events(db: sqlite3.Connection, rows: Sequence[EventRow]) -> None:
    """Insert one slice of `in_statements`, all of it or, where sqlite3.Error is raised, nothing.

    One statement for many rows: SQLite runs it without the interpreter's lock, while a statement a row would hand the
    lock to and fro with the event loop thousands of times.
    """
    db.execute(_insert_statement(len(rows)), [value for row in rows for value in row])


def insert_payloads(db: sqlite3.Connection, seq: int, payloads: Mapping[str, bytes]) -> None:
    """Insert the long values of event `seq`."""
    for key, data in payloads.items():
        sha256 = hashlib.sha256(data).digest()
        db.execute(INSERT_BLOB, (sha256, data))
        db.execute("INSERT INTO payload VALUES (?, ?, ?)", (seq, key, sha256))


@cache
def _insert_statement(rows: int) -> str:
    one = f"({','.join('?' * (len(COLUMNS.split(',')) - 1))},json(?))"  # SQLite's own look: what is kept is JSON
    return f"INSERT INTO event {COLUMNS} VALUES {','.join([one] * rows)}"


def cannot_write(path: Path, error: Exception) -> StorageFailed:
    """What to say where the disk or SQLite fails."""
    return StorageFailed(f"the journal {path} cannot be written: {error}; free or mend the disk, then start again")


def no_room(path: Path, error: Exception) -> StorageFailed:
    """What to say while the disk is full."""
    return StorageFailed(
        f"the journal {path} cannot be written now: {error}; calls with an effect are refused until there is room: "
        "free some, and they go on without a restart",
        retry_after_s=RETRY_FULL_S,
    )


def disk_is_full(error: Exception) -> bool:
    """Whether SQLite found no room: it has written nothing then that counts, and the same may be written later.

    It says so where a write found no room. An fsync that fails, for whatever reason, is another error to it, after
    which nobody knows what is on the disk: that is never tried again.
    """
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def disk_fails(error: sqlite3.Error) -> bool:
    """Whether it is the disk that fails, not what was to be written."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_READONLY)


def now_us() -> int:
    """The wall clock in microseconds."""
    return time.time_ns() // 1_000


def lives(os_pid: int, began: float) -> bool:
    """Whether the operating-system process that had this number at a time, in seconds since the epoch, lives.

    One that has been killed, and that nobody has taken notice of yet, does not.
    """
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(os_pid)
        return process.create_time() <= began and process.status() != psutil.STATUS_ZOMBIE
    return False


def died(os_pid: int, began: int) -> bool:
    """Whether a kernel that has not said that it ended, and began at a time in microseconds, lives no more."""
    return not lives(os_pid, began / 1_000_000 + DRIFT_S)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """While no other kernel makes the tables: SQLite does not wait for one that changes the file's mode."""
    with open(path.with_name(path.name + "-lock"), "wb", opener=_private) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN; {SCHEMA} COMMIT;")
    while upgrade := UPGRADES.get(_version(db)):
        db.executescript(f"BEGIN; {upgrade} COMMIT;")
    _check_version(db, path)
    db.execute("PRAGMA synchronous = FULL")


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version != VERSION:
        raise StorageFailed(
            f"the journal {path} is of version {version}, and this aios knows version {VERSION}; use the aios that "
            "wrote it, or move the file away to begin a new one"
        )
