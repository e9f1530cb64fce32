"""What a plan is made of: one typed operation for each thing that can be asked of the files.

A field says by its `FileKind` where its value may come from, so that what fills it in, a rule or a model, can be held
to that: a path is there, words occur in the request, a time was computed from words of the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AwareDatetime, Field

from aios_syscalls import Frozen


class FileKind(StrEnum):
    """Where the value of a field comes from."""

    PATH = "path"
    """There, or made by an earlier step."""
    PAST = "past"
    """There, or once was."""
    FOLDER = "folder"
    """A directory that is there, or a pattern of paths."""
    NEW = "new"
    """A path that need not be there."""
    AT = "at"
    """A version: its number, a time, or a tag."""
    TIME = "time"
    SECONDS = "seconds"
    QUERY = "query"
    """What is looked for; as it was said."""
    TEXT = "text"
    """What is written; as it was said."""
    NAME = "name"
    """Of a tag, an agent, a run, a virtual folder; as it was said."""


class Risk(StrEnum):
    """What running an operation may cost."""

    READS = "reads"
    CHANGES = "changes"
    """Something, and can be taken back."""
    ASKS = "asks"
    """It destroys, overwrites, takes back others' work or gives something away: never without a confirmation."""


At = int | AwareDatetime | str
"""A version's number (-1 is the one before), the last at or before a time, or a tag."""
Path = Annotated[str, FileKind.PATH]
Past = Annotated[str, FileKind.PAST]
Folder = Annotated[str, FileKind.FOLDER]
New = Annotated[str, FileKind.NEW]
Version = Annotated[At, FileKind.AT]
Time = Annotated[AwareDatetime, FileKind.TIME]
Query = Annotated[str, FileKind.QUERY]
Text = Annotated[str, FileKind.TEXT]
Name = Annotated[str, FileKind.NAME]


class Operation(Frozen):
    """One step of a plan."""

    about: ClassVar[str]
    """What it does, for a model or a person who has to choose."""
    example: ClassVar[str]
    """A request that means it."""
    risk: ClassVar[Risk] = Risk.READS
    op: str

    @property
    def line(self) -> str:
        """The operation for people: its name and what it is given."""
        given = self.model_dump(exclude={"op"}, exclude_defaults=True, mode="python")
        return " ".join([self.op, *(f"{name}={_shown(value)}" for name, value in given.items())])

    @classmethod
    def kinds(cls) -> dict[str, FileKind]:
        """Its fields, and where each comes from; what is no argument is left out."""
        found = {name: _kind(field.metadata, field.annotation) for name, field in cls.model_fields.items()}
        return {name: kind for name, kind in found.items() if kind is not None}


def _kind(marks: Iterable[Any], annotation: Any) -> FileKind | None:
    """The mark on a field, or on a part of its type, as in `Name | None`."""
    inner = (mark for part in get_args(annotation) for mark in getattr(part, "__metadata__", ()))
    return next((mark for mark in (*marks, *inner) if isinstance(mark, FileKind)), None)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value) if value != "" else '""'


class Read(Operation):
    about = "Show what a file contains."
    example = "open notes.txt"
    op: Literal["read"] = "read"
    path: Path


class List(Operation):
    about = "List the files in a folder."
    example = "list the files in drafts"
    op: Literal["list"] = "list"
    path: Path = "."
    recursive: bool = False


class Stat(Operation):
    about = "Tell a file's size and when it was last modified."
    example = "how big is data.csv?"
    op: Literal["stat"] = "stat"
    path: Path


class Create(Operation):
    about = "Make a new file or folder."
    example = 'create ideas.txt with the text "first idea"'
    risk = Risk.CHANGES
    op: Literal["create"] = "create"
    path: New
    text: Text = ""
    kind: Literal["file", "directory"] = "file"


class Write(Operation):
    about = "Replace all that a file contains by a text."
    example = 'overwrite notes.txt with "empty"'
    risk = Risk.ASKS
    op: Literal["write"] = "write"
    path: New
    text: Text


class Append(Operation):
    about = "Add a line at the end of a file."
    example = "add 'buy milk' to todo.txt"
    risk = Risk.CHANGES
    op: Literal["append"] = "append"
    path: Path
    text: Text


class Move(Operation):
    about = "Rename a file, or move it to another folder."
    example = "rename a.txt to b.txt"
    risk = Risk.CHANGES
    op: Literal["move"] = "move"
    path: Path
    target: New


class Copy(Operation):
    about = "Copy a file."
    example = "copy a.txt to backup/a.txt"
    risk = Risk.CHANGES
    op: Literal["copy"] = "copy"
    path: Path
    target: New


class Delete(Operation):
    about = "Delete a file."
    example = "delete old.log"
    risk = Risk.ASKS
    op: Literal["delete"] = "delete"
    path: Path


class DeleteWhatMatches(Operation):
    """What it deletes has all words of the query, for a search by meaning finds something for every subject."""

    about = "Delete all files that are about a subject."
    example = "delete the notes about the garden"
    risk = Risk.ASKS
    op: Literal["delete_matching"] = "delete_matching"
    query: Query = Field(min_length=1)
    within: Folder | None = None


class Replace(Operation):
    """Without a subject in every file of `within`, which is all without one."""

    about = "Replace a text by another wherever it stands in a file, a folder or all files about a subject."
    example = 'replace "Anna" with "Anne" in notes.txt'
    risk = Risk.ASKS
    op: Literal["replace"] = "replace"
    find: Text = Field(min_length=1)
    by: Text
    query: Query = ""
    within: Folder | None = None


class SearchText(Operation):
    about = "Find files about a subject, or by who changed them and when."
    example = "find notes about solar panels changed since Monday"
    op: Literal["search"] = "search"
    query: Query = ""
    within: Folder | None = None
    types: tuple[str, ...] = ()
    agent: Name | None = None
    since: Time | None = None
    until: Time | None = None


class ShowHistory(Operation):
    about = "List the versions of a file, with who made each and when."
    example = "who changed report.md?"
    op: Literal["history"] = "history"
    path: Past


class Show(Operation):
    about = "Show what a file contained in an older version or at a time."
    example = "show notes.txt as of yesterday"
    op: Literal["show"] = "show"
    path: Past
    at: Version


class Diff(Operation):
    about = "Show the lines that differ between two versions of a file."
    example = "what changed in report.md since version 3?"
    op: Literal["diff"] = "diff"
    path: Past
    a: Version
    b: Version | None = None


class Compare(Operation):
    about = "Describe in words how two versions of a file differ."
    example = "describe how report.md changed since version 3"
    op: Literal["compare"] = "compare"
    path: Past
    a: Version
    b: Version | None = None


class Rollback(Operation):
    about = "Bring a file back to an older version or to how it was at a time."
    example = "roll report.md back to last Tuesday"
    risk = Risk.CHANGES
    op: Literal["rollback"] = "rollback"
    path: Past
    at: Version


class Undo(Operation):
    about = "Take back all changes that an agent or a run made."
    example = "undo what the agent planner did"
    risk = Risk.ASKS
    op: Literal["undo"] = "undo"
    agent: Name | None = None
    run: Name | None = None


class Tag(Operation):
    about = "Give the present version of a file, or of all, a name."
    example = "tag report.md as final"
    risk = Risk.CHANGES
    op: Literal["tag"] = "tag"
    tag: Name = Field(min_length=1)
    paths: Annotated[tuple[str, ...], FileKind.PATH] = ()


class GroupWhatMatches(Operation):
    about = "Sort the files that are about a subject into groups by topic, author or time."
    example = "group everything about taxes by author"
    op: Literal["group"] = "group"
    query: Query = ""
    by: Literal["topic", "author", "time"]


class Join(Operation):
    about = "Find the files that are about two subjects, about either, or about one without the other."
    example = "files about both taxes and Berlin"
    op: Literal["join"] = "join"
    left: Query = Field(min_length=1)
    right: Query = Field(min_length=1)
    how: Literal["and", "or", "not"] = "and"


class Link(Operation):
    about = "Keep a search as a virtual folder."
    example = 'save the search "unpaid" as folder unpaid'
    risk = Risk.CHANGES
    op: Literal["link"] = "link"
    folder: Name = Field(min_length=1)
    query: Query = Field(min_length=1)


class Follow(Operation):
    about = "List what is in a virtual folder now."
    example = "list the virtual folder unpaid"
    op: Literal["follow"] = "follow"
    folder: Name = Field(min_length=1)


class Unlink(Operation):
    about = "Remove a virtual folder; the files stay."
    example = "remove the virtual folder unpaid"
    risk = Risk.CHANGES
    op: Literal["unlink"] = "unlink"
    folder: Name = Field(min_length=1)


class Lock(Operation):
    about = "Keep others from changing a file."
    example = "lock report.md"
    risk = Risk.CHANGES
    op: Literal["lock"] = "lock"
    path: Path
    seconds: Annotated[int, FileKind.SECONDS] = Field(default=3600, ge=1, le=86_400)


class Unlock(Operation):
    about = "Let go of a lock, so that others can change a file again."
    example = "unlock report.md"
    risk = Risk.CHANGES
    op: Literal["unlock"] = "unlock"
    path: Path
    token: Name | None = None
    """Which the lock came with; None where an earlier step locks the file."""


class ShareLinkTo(Operation):
    about = "Make a link by which others can read a file for some time."
    example = "share report.md for two hours"
    risk = Risk.ASKS
    op: Literal["share"] = "share"
    path: Path
    seconds: Annotated[int, FileKind.SECONDS] = Field(default=3600, ge=1, le=604_800)


class WatchPaths(Operation):
    about = "Tell when a file changes."
    example = "watch config.toml"
    op: Literal["watch"] = "watch"
    path: Path


class Summarise(Operation):
    about = "Say in a few sentences what is in a file or folder."
    example = "summarise meeting.md"
    op: Literal["summarise"] = "summarise"
    path: Path


AnyOperation = Annotated[
    Read
    | List
    | Stat
    | Create
    | Write
    | Append
    | Move
    | Copy
    | Delete
    | DeleteWhatMatches
    | Replace
    | SearchText
    | ShowHistory
    | Show
    | Diff
    | Compare
    | Rollback
    | Undo
    | Tag
    | GroupWhatMatches
    | Join
    | Link
    | Follow
    | Unlink
    | Lock
    | Unlock
    | ShareLinkTo
    | WatchPaths
    | Summarise,
    Field(discriminator="op"),
]
OPERATIONS: dict[str, type[Operation]] = {
    str(each.model_fields["op"].default): each for each in Operation.__subclasses__()
}
"""By name."""


class OperationPlan(Frozen):
    """What will be done, in order. Nothing in it has been run."""

    request: str
    steps: tuple[AnyOperation, ...]
    sure: bool = True
    """Whether every step was read by rule; a model's reading may be wrong, so more of it is confirmed."""
    notes: tuple[str, ...] = ()
