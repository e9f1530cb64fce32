"""The file family's values, between the ABI's form and the library's."""

from __future__ import annotations

from datetime import datetime

from aios_storage import At, Change, Drop, Entry, Filters, Hit, Put, Query, Rename, Results, Version
from aios_storage import IndexEntry as Indexed
from aios_syscalls import (
    DropFile,
    FileHit,
    FileInfo,
    FileQuery,
    FileVersion,
    Point,
    PutFile,
    RenameFile,
    SearchFilesReply,
)


def info(entry: Entry) -> FileInfo:
    """A directory entry."""
    return FileInfo(path=entry.path, kind=entry.kind, size=entry.size, modified=entry.modified)


def version(each: Version) -> FileVersion:
    """A version."""
    return FileVersion(
        path=each.path,
        number=each.number,
        seq=each.seq,
        op=each.op,
        size=each.size,
        time=each.time,
        author=each.author.name,
        run=each.author.run,
        pid=each.author.pid,
        sha256=each.sha256,
        source=each.source,
        note=each.note,
    )


def at(point: Point) -> At:
    """A point of a history."""
    if point.number is not None:
        return point.number
    return datetime.fromtimestamp(point.time).astimezone() if point.time is not None else point.tag or ""


def change(each: PutFile | DropFile | RenameFile) -> Change:
    """A part of a transaction."""
    match each:
        case PutFile(path=path, data=data, if_version=if_version):
            return Put(path, data, if_version)
        case DropFile(path=path, if_version=if_version):
            return Drop(path, if_version)
        case RenameFile(path=path, target=target):
            return Rename(path, target)


def query(asked: FileQuery, context: int = 0) -> Query:
    """A search."""
    filters = Filters(
        paths=asked.paths,
        since=asked.since,
        until=asked.until,
        authors=asked.authors,
        runs=asked.runs,
        types=asked.types,
        min_size=asked.min_size,
        max_size=asked.max_size,
        tags=asked.tags,
        fields=asked.fields,
    )
    return Query(asked.text, asked.mode, filters, asked.limit, context)


def hits(results: Results) -> SearchFilesReply:
    """What a search found."""
    return SearchFilesReply(
        hits=tuple(hit(each) for each in results.hits), pending_files=results.pending.files, notes=results.notes
    )


def hit(each: Hit) -> FileHit:
    """One hit."""
    return FileHit(**{name: getattr(each, name) for name in FileHit.model_fields})


def listed(entry: Indexed) -> FileHit:
    """A file that was asked for by its conditions alone."""
    return FileHit(
        path=entry.path,
        line=1,
        last_line=1,
        start=0,
        end=0,
        score=0.0,
        why="meta",
        snippet="",
        at=1,
        best=1,
        marks=(),
        version=None,
        size=entry.size,
        modified=entry.modified,
        author=entry.author,
    )
