"""From an operation to its syscalls, and from their replies to what a person reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, assert_never, cast

from aios.fs import operations as ops
from aios.fs.operations import AnyOperation, Operation
from aios.sdk import Agent, compare, point, summarise
from aios_syscalls import (
    AppendFile,
    BadRequest,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    DiffFile,
    FileInfo,
    FileQuery,
    FileVersion,
    FollowLink,
    GroupFiles,
    JoinFiles,
    LinkFiles,
    ListFiles,
    ListVersions,
    LockFile,
    MoveFile,
    NotFound,
    ReadFile,
    Reply,
    RollbackFile,
    SearchFiles,
    SearchFilesReply,
    ShareFile,
    StatFile,
    TagFiles,
    UndoFiles,
    UnlinkFiles,
    UnlockFile,
    UpdateMatching,
    WatchFiles,
    WriteFile,
)

MAX_FILES_CHANGED = 1_000
"""Files that a change by subject touches, at most."""
HOW: Mapping[str, Literal["all", "any", "minus"]] = {"and": "all", "or": "any", "not": "minus"}
WATCH_S = 300.0


def fuzzy(step: ops.DeleteWhatMatches | ops.Replace) -> FileQuery:
    """What a change by subject finds: files that have all of the words, never the nearest that there are."""
    words = re.findall(r'"[^"]*"|\S+', step.query)
    return FileQuery(
        text=" ".join(f"+{word}" for word in words),
        mode="keyword",
        limit=MAX_FILES_CHANGED,
        paths=(step.within,) if step.within else (),
    )


def query(step: ops.SearchText) -> FileQuery:
    """A search as the kernel takes it."""
    return FileQuery(
        text=step.query,
        paths=(step.within,) if step.within else (),
        types=step.types,
        authors=(step.agent,) if step.agent else (),
        since=step.since.timestamp() if step.since else None,
        until=step.until.timestamp() if step.until else None,
    )


async def preview(agent: Agent, step: Operation) -> tuple[list[str], str | None]:
    """What a step will touch, and the token that a change by subject has to be confirmed with. Changes nothing."""
    match step:
        case ops.Replace(find=find, by=by):
            found = await agent.port.submit(UpdateMatching(query=fuzzy(step), find=find, replace=by))
            return list(found.paths), found.token
        case ops.DeleteWhatMatches():
            found = await agent.port.submit(DeleteMatching(query=fuzzy(step)))
            return list(found.paths), found.token
        case ops.Undo(agent=name, run=run):
            undone = (await agent.port.submit(UndoFiles(agent=name, run=run, dry_run=True))).files
            return [f"{each.path}: {_undone(each.restored, each.kept)}" for each in undone], None
        case ops.Delete(path=path):
            return [_entry((await agent.port.submit(StatFile(path=path))).info)], None
        case ops.Write(path=path):
            try:
                return [f"{_entry((await agent.port.submit(StatFile(path=path))).info)}, replaced whole"], None
            except NotFound:
                return [f"{path}, new"], None
        case _:
            return [], None


async def perform(
    agent: Agent, step: Operation, token: str | None, locks: dict[str, str], model: str | None
) -> tuple[str, Reply | None]:
    """Run a step that may be run: what to show, and the reply. `locks` holds the tokens of the plan's own locks."""
    submit = agent.port.submit
    match cast(AnyOperation, step):
        case ops.Read(path=path):
            content = await submit(ReadFile(path=path))
            return content.text, content
        case ops.Show(path=path, at=at):
            content = await submit(ReadFile(path=path, at=point(at)))
            return content.text, content
        case ops.List(path=path, recursive=recursive):
            listing = await submit(ListFiles(path=path, recursive=recursive))
            return "\n".join(map(_entry, listing.entries)) or "no files", listing
        case ops.Stat(path=path):
            stat = await submit(StatFile(path=path))
            return _entry(stat.info), stat
        case ops.Create(path=path, text=text, kind=kind):
            done = await submit(CreateFile(path=path, data=_line(text) if kind == "file" else b"", kind=kind))
            return f"made {path}", done
        case ops.Write(path=path, text=text):
            done = await submit(WriteFile(path=path, data=_line(text)))
            return f"{path} is now version {done.version}", done
        case ops.Append(path=path, text=text):
            done = await submit(AppendFile(path=path, data=await _break(agent, path) + _line(text)))
            return f"{path} is now version {done.version}", done
        case ops.Move(path=path, target=target):
            return f"{path} is now {target}", await submit(MoveFile(path=path, target=target))
        case ops.Copy(path=path, target=target):
            return f"{path} is also {target}", await submit(CopyFile(path=path, target=target))
        case ops.Delete(path=path):
            return f"deleted {path}; its versions stay", await submit(DeleteFile(path=path))
        case ops.DeleteWhatMatches() as matching:
            matched = await submit(DeleteMatching(query=fuzzy(matching), token=token))
            return f"deleted {', '.join(matched.paths)}; their versions stay", matched
        case ops.Replace(find=find, by=by) as swap:
            changed = await submit(UpdateMatching(query=fuzzy(swap), find=find, replace=by, token=token))
            return f"changed {', '.join(changed.paths)}; the versions before stay", changed
        case ops.Follow(folder=folder):
            hits = await submit(FollowLink(link=folder))
            return _hits(hits), hits
        case ops.SearchText() as search:
            hits = await submit(SearchFiles(query=query(search)))
            return _hits(hits), hits
        case ops.ShowHistory(path=path):
            history = await submit(ListVersions(path=path))
            return "\n".join(map(_version, history.versions)), history
        case ops.Diff(path=path, a=a, b=b):
            diff = await submit(DiffFile(path=path, a=point(a), b=None if b is None else point(b)))
            return diff.text or "nothing differs", diff
        case ops.Compare(path=path, a=a, b=b):
            return await compare(agent, path, point(a), None if b is None else point(b), model=model), None
        case ops.Rollback(path=path, at=at):
            done = await submit(RollbackFile(path=path, to=point(at)))
            return f"{path} is as it was, as version {done.version}", done
        case ops.Undo(agent=name, run=run):
            undone = await submit(UndoFiles(agent=name, run=run))
            return "\n".join(f"{each.path}: {_undone(each.restored, each.kept)}" for each in undone.files), undone
        case ops.Tag(tag=tag, paths=paths):
            tags = await submit(TagFiles(tag=tag, paths=paths))
            return f"{tags.tags.get(tag, 0)} files are {tag}", tags
        case ops.GroupWhatMatches(query=text, by=by):
            groups = await submit(GroupFiles(query=FileQuery(text=text, limit=200), by="month" if by == "time" else by))
            return "\n".join(f"{group.name}: {', '.join(group.paths)}" for group in groups.groups) or "no files", groups
        case ops.Join(left=left, right=right, how=how):
            sides = tuple(FileQuery(text=side, mode="keyword", limit=MAX_FILES_CHANGED) for side in (left, right))
            files = await submit(JoinFiles(queries=sides, how=HOW[how]))
            return "\n".join(files.paths) or "no files", files
        case ops.Link(folder=folder, query=text):
            return f"{folder} is what {text!r} finds", await submit(LinkFiles(link=folder, query=FileQuery(text=text)))
        case ops.Unlink(folder=folder):
            return f"{folder} is no folder any more; the files stay", await submit(UnlinkFiles(link=folder))
        case ops.Lock(path=path, seconds=seconds):
            lease = await submit(LockFile(path=path, ttl_s=seconds))
            locks[path] = lease.token
            return f"locked {path} until {_time(lease.until)}; unlock it with {lease.token}", lease
        case ops.Unlock(path=path, token=given):
            if (key := given or locks.get(path)) is None:
                raise BadRequest(
                    f"a lock ends with its token: say 'unlock {path} with TOKEN', as locking it said", "token"
                )
            return f"unlocked {path}", await submit(UnlockFile(token=key))
        case ops.ShareLinkTo(path=path, seconds=seconds):
            share = await submit(ShareFile(path=path, ttl_s=seconds))
            return f"{share.url} until {_time(share.until)}", share
        case ops.WatchPaths(path=path):
            changes = await submit(WatchFiles(paths=(path,), timeout_s=WATCH_S, deadline_s=WATCH_S + 30))
            return "\n".join(map(_version, changes.versions)) or f"no change in {WATCH_S:.0f} s", changes
        case ops.Summarise(path=path):
            return await summarise(agent, path, model=model), None
        case never:
            assert_never(never)


async def _break(agent: Agent, path: str) -> bytes:
    """A line end, where the last line of the file lacks it."""
    size = (await agent.port.submit(StatFile(path=path))).info.size
    last = (await agent.port.submit(ReadFile(path=path, offset=size - 1))).data if size else b"\n"
    return b"" if last == b"\n" else b"\n"


def _line(text: str) -> bytes:
    return (text if text.endswith("\n") or not text else text + "\n").encode()


def _entry(info: FileInfo) -> str:
    return f"{info.path}{'/' if info.kind == 'directory' else f', {info.size:,} bytes, {_time(info.modified)}'}"


def _version(version: FileVersion) -> str:
    return f"{version.number:>4}  {_time(version.time)}  {version.author:<12}  {version.op:<8}  {version.path}"


def _hits(found: SearchFilesReply) -> str:
    lines = [f"{hit.path}:{hit.line}: {' '.join(hit.snippet.split())[:160]}" for hit in found.hits]
    return "\n".join([*(lines or ["nothing found"]), *(f"({note})" for note in found.notes)])


def _undone(restored: int | None, kept: str | None) -> str:
    return f"stays: {kept}" if kept else "goes" if restored is None else f"back to version {restored}"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
