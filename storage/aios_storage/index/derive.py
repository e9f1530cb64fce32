"""From a version to what the index has of it: rows of text, pieces and fields, which belong to bytes, not to paths."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import PurePosixPath

from aios_storage import extract
from aios_storage.index.chunk import chunks
from aios_storage.index.words import indexed
from aios_storage.versions.files import Files
from aios_storage.versions.rows import Head
from aios_storage.versions.version import Version
from aios_syscalls.errors import NotFound

FORMAT = 3
SCHEMA = """
CREATE TABLE document (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, suffix TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
    exact INTEGER NOT NULL, why TEXT NOT NULL, UNIQUE (sha256, suffix)
);
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL, seq INTEGER NOT NULL, document INTEGER NOT NULL,
    size INTEGER NOT NULL, modified REAL NOT NULL, author TEXT NOT NULL, run TEXT, kind TEXT NOT NULL,
    suffix TEXT NOT NULL
);
CREATE INDEX entry_document ON entry (document);
CREATE INDEX entry_modified ON entry (modified);
CREATE TABLE chunk (
    document INTEGER NOT NULL, ordinal INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    line INTEGER NOT NULL, last_line INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (document, ordinal)
) WITHOUT ROWID;
CREATE INDEX chunk_hash ON chunk (hash);
CREATE TABLE field (
    document INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, shown TEXT NOT NULL, number REAL
);
CREATE INDEX field_key ON field (key, value);
CREATE INDEX field_document ON field (document);
CREATE TABLE vector (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL, model TEXT NOT NULL, data BLOB NOT NULL,
    crc INTEGER NOT NULL, UNIQUE (hash, model)
);
CREATE TABLE todo (hash BLOB PRIMARY KEY, document INTEGER NOT NULL, ordinal INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX todo_order ON todo (ordinal, document);
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE VIRTUAL TABLE fts USING fts5 (
    name, body, tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
);
CREATE TABLE text (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""
BODY = "SELECT coalesce((SELECT body FROM text WHERE id = ?1), (SELECT body FROM fts WHERE rowid = ?1))"
"""A file's text: `fts` has it as its words are found, and `text` has it as it is where that is not the same."""


def follow(connection: sqlite3.Connection, files: Files, version: Version) -> None:
    """Bring one path's entry to what the truth says now."""
    path = version.path
    head = files.head(path)
    row = connection.execute("SELECT id, document, seq FROM entry WHERE path = ?", (path,)).fetchone()
    if head is None:
        if row is not None:
            connection.execute("DELETE FROM entry WHERE id = ?", row[:1])
            connection.execute("DELETE FROM fts WHERE rowid = ?", row[:1])
            connection.execute("DELETE FROM text WHERE id = ?", row[:1])
            _forget(connection, row[1])
        return
    if row is not None and row[2] == head.seq:
        return
    document, text = _document(connection, files, path, head)
    kind, suffix = connection.execute("SELECT kind, suffix FROM document WHERE id = ?", (document,)).fetchone()
    last = files.by_seq(head.seq)
    values = (head.seq, document, head.size, head.mtime_ns / 1e9, last.author.name, last.author.run, kind, suffix)
    name = indexed(" ".join(PurePosixPath(path).parts))
    if row is None:
        cursor = connection.execute(
            "INSERT INTO entry (path, seq, document, size, modified, author, run, kind, suffix) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (path, *values),
        )
        body = _body(connection, files, document, path, head) if text is None else text
        form = _said(connection, int(cursor.lastrowid or 0), body)
        connection.execute("INSERT INTO fts (rowid, name, body) VALUES (?, ?, ?)", (cursor.lastrowid, name, form))
        return
    id, before, _ = row
    connection.execute(
        "UPDATE entry SET seq = ?, document = ?, size = ?, modified = ?, author = ?, run = ?, kind = ?, suffix = ? "
        "WHERE id = ?",
        (*values, id),
    )
    if document != before:
        body = _body(connection, files, document, path, head) if text is None else text
        connection.execute("UPDATE fts SET body = ? WHERE rowid = ?", (_said(connection, id, body), id))
        _forget(connection, before)


def _document(connection: sqlite3.Connection, files: Files, path: str, head: Head) -> tuple[int, str | None]:
    """The document of a head, and its text if that was read just now."""
    suffix = PurePosixPath(path).suffix.lower().lstrip(".")
    row = connection.execute(
        "SELECT id FROM document WHERE sha256 = ? AND suffix = ?", (head.sha256, suffix)
    ).fetchone()
    if row is not None:
        return int(row[0]), None
    text = _extracted(files, path, head)
    cursor = connection.execute(
        "INSERT INTO document (sha256, suffix, kind, title, exact, why) VALUES (?, ?, ?, ?, ?, ?)",
        (head.sha256, suffix, text.kind, text.title, text.exact, text.why),
    )
    document = int(cursor.lastrowid or 0)
    connection.executemany(
        "INSERT INTO field VALUES (?, ?, ?, ?, ?)",
        [(document, key, value.lower(), value, _number(value)) for key, value in text.fields],
    )
    pieces = chunks(text.text)
    rows = [(document, each.ordinal, each.start, each.end, each.line, each.last_line, each.hash) for each in pieces]
    connection.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT OR IGNORE INTO todo SELECT ?1, ?2, ?3 WHERE NOT EXISTS "
        "(SELECT 1 FROM vector WHERE hash = ?1 AND model = (SELECT value FROM meta WHERE key = 'model'))",
        [(row[6], document, row[1]) for row in rows],
    )
    return document, text.text


def _extracted(files: Files, path: str, head: Head) -> extract.ExtractedText:
    try:
        return extract.extract(path, files.content(head.sha256.hex()))
    except NotFound:  # too large to be kept: found by its name
        return extract.ExtractedText(
            "", PurePosixPath(path).suffix.lower().lstrip(".") or "binary", why="too large to be kept"
        )


def _body(connection: sqlite3.Connection, files: Files, document: int, path: str, head: Head) -> str:
    """The text of a document that another file has as well, or had."""
    sql = "SELECT id FROM entry WHERE document = ? AND path <> ?"
    other = connection.execute(sql, (document, path)).fetchone()
    row = connection.execute(BODY, other).fetchone() if other else None
    return str(row[0]) if row else _extracted(files, path, head).text


def _said(connection: sqlite3.Connection, id: int, body: str) -> str:
    """The form of a file's text by which its words are found; where that is another one, the text is kept too."""
    form = indexed(body)
    if form == body:
        connection.execute("DELETE FROM text WHERE id = ?", (id,))
    else:
        connection.execute("INSERT OR REPLACE INTO text VALUES (?, ?)", (id, body))
    return form


def _forget(connection: sqlite3.Connection, document: int) -> None:
    """Drop a document that no file has any more; its vectors stay, for it may come back."""
    if connection.execute("SELECT 1 FROM entry WHERE document = ?", (document,)).fetchone():
        return
    connection.execute(
        "DELETE FROM todo WHERE hash IN (SELECT hash FROM chunk WHERE document = ?1) AND NOT EXISTS "
        "(SELECT 1 FROM chunk WHERE chunk.hash = todo.hash AND chunk.document <> ?1)",
        (document,),
    )
    connection.execute(
        "UPDATE todo SET (document, ordinal) = (SELECT document, ordinal FROM chunk WHERE chunk.hash = todo.hash "
        "AND chunk.document <> ?1 LIMIT 1) WHERE document = ?1 AND hash IN "
        "(SELECT hash FROM chunk WHERE document = ?1)",
        (document,),
    )
    for table in ("chunk", "field"):
        connection.execute(f"DELETE FROM {table} WHERE document = ?", (document,))
    connection.execute("DELETE FROM document WHERE id = ?", (document,))


def _number(value: str) -> float | None:
    with suppress(ValueError):
        return float(value)
    return None
