"""Family file, by meaning: search, groups, sets, saved queries, shares, and changes of all that matches."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from aios_syscalls.base import Effect, Frozen, Many, Reply, Syscall
from aios_syscalls.file_version import FileVersion, Point, WriteFileReply

__all__ = [
    "DeleteMatching",
    "FileGroup",
    "FileHit",
    "FileQuery",
    "FollowLink",
    "GetFilesStatus",
    "GetFilesStatusReply",
    "GroupFiles",
    "GroupFilesReply",
    "JoinFiles",
    "JoinFilesReply",
    "LinkFiles",
    "ListLinks",
    "ListLinksReply",
    "SavedQuery",
    "SearchFiles",
    "SearchFilesReply",
    "ShareFile",
    "ShareFileReply",
    "UnlinkFiles",
    "UnshareFile",
    "UpdateMatching",
    "UpdateMatchingReply",
]

Mode = Literal["hybrid", "semantic", "keyword"]


class FileQuery(Frozen):
    """Which files, and by what: words or a sentence, and conditions that all have to be met.

    Without text, all files that meet the conditions, by path. `paths` are globs or directories; `since` and `until`
    seconds since the epoch; `types` suffixes or kinds; `fields` pairs of a key that files state in their own head and a
    value, such as `("year", ">=2005")` or `("author", "A|B")`.
    """

    text: str = ""
    mode: Mode = "hybrid"
    limit: int = Field(default=10, ge=1, le=1_000)
    paths: Many[str] = ()
    since: float | None = None
    until: float | None = None
    authors: Many[str] = ()
    runs: Many[str] = ()
    types: Many[str] = ()
    min_size: int | None = Field(default=None, ge=0)
    max_size: int | None = Field(default=None, ge=0)
    tags: Many[str] = ()
    fields: Many[tuple[str, str]] = ()


class FileHit(Frozen):
    """A file that was found, and where in it.

    Lines count from 1, the last included; `start` and `end` are bytes of the file's text; `why` says what found it;
    `snippet` is what it says there, from line `at` on, of which `best` is the line that fits best, and `marks` are the
    characters of it that match.
    """

    path: str
    line: int
    last_line: int
    start: int
    end: int
    score: float
    why: Literal["kw", "vec", "both", "meta"]
    snippet: str
    at: int
    best: int
    marks: tuple[tuple[int, int], ...]
    version: int | None
    size: int
    modified: float
    author: str


class SearchFilesReply(Reply):
    """What was found, best first; `pending_files` cannot be found by meaning yet; `notes` say what was not done."""

    hits: tuple[FileHit, ...]
    pending_files: int = 0
    notes: tuple[str, ...] = ()


class SearchFiles(Syscall[SearchFilesReply]):
    """Find files by what they mean, by what they say, or both."""

    name: ClassVar[str] = "file.search"
    effect: ClassVar[Effect] = Effect.PURE
    query: FileQuery
    context: int = Field(default=0, ge=0, le=100)
    """Lines around the best one of each hit."""


class FileGroup(Frozen):
    """Files that have something in common."""

    name: str
    paths: tuple[str, ...]


class GroupFilesReply(Reply):
    """Groups, the largest first."""

    groups: tuple[FileGroup, ...]


class GroupFiles(Syscall[GroupFilesReply]):
    """Put the files of a query in groups: by topic (of meaning), author, type, month, or a field of their heads.

    `author` is who changed a file last; `field:author` is what its head says.
    """

    name: ClassVar[str] = "file.group"
    effect: ClassVar[Effect] = Effect.PURE
    query: FileQuery = FileQuery()
    by: str = "topic"
    most: int = Field(default=8, ge=1, le=100)
    """Groups by topic."""


class JoinFilesReply(Reply):
    """Paths, sorted."""

    paths: tuple[str, ...]


class JoinFiles(Syscall[JoinFilesReply]):
    """The files of all of these queries, of any of them, or of the first and none of the others."""

    name: ClassVar[str] = "file.join"
    effect: ClassVar[Effect] = Effect.PURE
    queries: Many[FileQuery] = Field(min_length=1, max_length=16)
    how: Literal["all", "any", "minus"] = "all"


class SavedQuery(Frozen):
    """A query with a name."""

    link: str
    query: FileQuery
    author: str


class ListLinksReply(Reply):
    """Saved queries, by name."""

    links: tuple[SavedQuery, ...]


class LinkFiles(Syscall[ListLinksReply]):
    """Keep a query under a name, as a folder of whatever matches it; `Exists` if another has the name."""

    name: ClassVar[str] = "file.link"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    link: str
    query: FileQuery


class UnlinkFiles(Syscall[ListLinksReply]):
    """Forget a saved query; replies with it."""

    name: ClassVar[str] = "file.unlink"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    link: str


class ListLinks(Syscall[ListLinksReply]):
    """Every saved query."""

    name: ClassVar[str] = "file.links"
    effect: ClassVar[Effect] = Effect.PURE


class FollowLink(Syscall[SearchFilesReply]):
    """What matches a saved query now."""

    name: ClassVar[str] = "file.follow"
    effect: ClassVar[Effect] = Effect.PURE
    link: str


class UpdateMatchingReply(Reply):
    """What a change of all that matches touches; with `token` nothing happened yet: send it to have it done."""

    paths: tuple[str, ...]
    token: str | None = None
    versions: tuple[FileVersion, ...] = ()


class DeleteMatching(Syscall[UpdateMatchingReply]):
    """Delete all that a query finds: first lists it and gives a token; with the token, and nothing changed, deletes."""

    name: ClassVar[str] = "file.delete_matching"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    query: FileQuery
    token: str | None = None


class UpdateMatching(Syscall[UpdateMatchingReply]):
    """Replace a text in all files that a query finds, in the two steps of `DeleteMatching`."""

    name: ClassVar[str] = "file.update_matching"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    settles: ClassVar[bool] = True
    query: FileQuery
    find: str = Field(min_length=1)
    replace: str
    token: str | None = None


class ShareFileReply(Reply):
    """Where one version of a file can be fetched on this machine until a time; nothing is uploaded."""

    url: str
    token: str
    until: float


class ShareFile(Syscall[ShareFileReply]):
    """Serve one version of a file, by default the last, at an address on this machine that nobody can guess."""

    name: ClassVar[str] = "file.share"
    effect: ClassVar[Effect] = Effect.AT_MOST_ONCE
    path: str
    at: Point | None = None
    ttl_s: float = Field(default=3_600.0, gt=0, le=604_800)


class UnshareFile(Syscall[WriteFileReply]):
    """End a share before its time."""

    name: ClassVar[str] = "file.unshare"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    token: str


class GetFilesStatusReply(Reply):
    """How far the index is; `model` is what embeds, None where nothing was embedded yet."""

    files: int
    pending_files: int
    pending_chunks: int
    model: str | None


class GetFilesStatus(Syscall[GetFilesStatusReply]):
    """How far the index is."""

    name: ClassVar[str] = "file.status"
    effect: ClassVar[Effect] = Effect.PURE


SearchCall = (
    SearchFiles
    | GroupFiles
    | JoinFiles
    | LinkFiles
    | UnlinkFiles
    | ListLinks
    | FollowLink
    | DeleteMatching
    | UpdateMatching
    | ShareFile
    | UnshareFile
    | GetFilesStatus
)
