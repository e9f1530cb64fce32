"""Where one caller of the file family is served: the one `match`, and what the caller may see of the files."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

from aios.cores import file_convert as values
from aios.cores.share import LinkServer
from aios_storage import (
    MAX_READ,
    Drop,
    Files,
    IndexEntry,
    Library,
    Put,
    Query,
    Scope,
    ShareLink,
    ShareLinks,
    Shares,
    Version,
    all_matching,
    confirmed,
    grouped,
)
from aios_storage import matching_globs as glob_matches
from aios_syscalls import (
    AppendFile,
    BadRequest,
    CallerError,
    ChangeFiles,
    ChangeFilesReply,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    Denied,
    DiffFile,
    DiffFileReply,
    FileCall,
    FileGroup,
    FileQuery,
    FileVersion,
    FollowLink,
    GetFilesStatus,
    GetFilesStatusReply,
    GroupFiles,
    GroupFilesReply,
    JoinFiles,
    JoinFilesReply,
    KernelBug,
    LinkFiles,
    ListFiles,
    ListFilesReply,
    ListLinks,
    ListLinksReply,
    ListTags,
    ListTagsReply,
    ListVersions,
    ListVersionsReply,
    LockFile,
    LockFileReply,
    MoveFile,
    NotFound,
    Point,
    ReadFile,
    ReadFileReply,
    RenameFile,
    Reply,
    RollbackFile,
    SavedQuery,
    SearchFiles,
    SearchFilesReply,
    ShareFile,
    ShareFileReply,
    StatFile,
    StatFileReply,
    TagFiles,
    UndoFiles,
    UndoFilesReply,
    UndoneFile,
    UnlinkFiles,
    UnlockFile,
    UnshareFile,
    UntagFiles,
    UpdateMatching,
    UpdateMatchingReply,
    WatchFiles,
    WatchFilesReply,
    WriteFile,
    WriteFileReply,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileService:
    """Where one caller is served: what it may see, and whose its changes are."""

    library: Library
    files: Files
    scope: Scope
    server: LinkServer
    keepers: frozenset[str] = frozenset()
    """Programs that have a private directory: what they look for is theirs too."""

    def serve(self, call: FileCall) -> Reply:
        """The reply to any call but a watch."""
        files, see, touch = self.files, self._see, self._touch
        match call:
            case CreateFile(path=path, data=data, kind=kind):
                return _done(path, files.create(see(path), data, kind))
            case ReadFile():
                return self._read(call)
            case WriteFile(path=path, data=data, if_version=if_version):
                return _done(path, files.write(see(path), data, if_version))
            case AppendFile(path=path, data=data):
                return _done(path, files.append(see(path), data))
            case ListFiles(path=path, recursive=recursive):
                entries = files.list(see(path), recursive)
                return ListFilesReply(entries=tuple(values.info(each) for each in entries if self._leads(each.path)))
            case StatFile(path=path):
                entry, number = self._steady(path, lambda: files.stat(see(path)))
                return StatFileReply(info=values.info(entry), version=number)
            case MoveFile(path=path, target=target):
                return _done(target, files.move(touch(path), see(target, "target")))
            case CopyFile(path=path, target=target):
                return _done(target, files.copy(see(path), see(target, "target")))
            case DeleteFile(path=path, if_version=if_version):
                return _done(path, files.delete(touch(path), if_version))
            case ListVersions(path=path, limit=limit):
                return ListVersionsReply(versions=tuple(map(self._version, self._history(see(path), limit))))
            case DiffFile(path=path, a=a, b=b):
                one, two = self._then(path, a), self._then(path, b)
                return DiffFileReply(text=files.diff(path, one.number, two.number))
            case RollbackFile(path=path, to=to):
                return _done(path, files.rollback(path, self._then(path, to).number))
            case UndoFiles(run=run, agent=agent, dry_run=dry_run):
                undone = files.undo(run, agent, dry_run, self._leads)
                return UndoFilesReply(
                    files=tuple(UndoneFile(path=each.path, restored=each.restored, kept=each.kept) for each in undone)
                )
            case TagFiles(tag=tag, paths=paths):
                return ListTagsReply(tags={tag: files.tag(tag, [see(path) for path in paths], self.scope.sees)})
            case UntagFiles(tag=tag):
                return ListTagsReply(tags={tag: files.untag(tag, self.scope.sees)})
            case ListTags():
                return ListTagsReply(tags=files.tags(self.scope.sees))
            case ChangeFiles(changes=changes):
                for each in changes:
                    touch(each.path)
                    if isinstance(each, RenameFile):
                        see(each.target, "target")
                made = files.transaction([values.change(each) for each in changes])
                return ChangeFilesReply(versions=tuple(map(self._version, made)))
            case LockFile(path=path, ttl_s=ttl_s, token=token):
                lease = files.lock(touch(path), ttl_s, token)
                return LockFileReply(path=lease.path, token=lease.token, until=lease.until)
            case UnlockFile(token=token):
                return WriteFileReply(path=files.unlock(token) or "")
            case SearchFiles(query=query, context=context):
                return self._search(query, context)
            case GroupFiles(query=query, by=by, most=most):
                named = grouped(self.library, self._matching(query), by, most)
                return GroupFilesReply(
                    groups=tuple(FileGroup(name=key, paths=tuple(each)) for key, each in named.items())
                )
            case JoinFiles(queries=queries, how=how):
                return JoinFilesReply(paths=tuple(sorted(self._joined(queries, how))))
            case LinkFiles(link=link, query=query):
                saved = self._links.save(link, self._me, query.model_dump_json(), time.time())
                return ListLinksReply(links=(_saved(saved),))
            case UnlinkFiles(link=link):
                return ListLinksReply(links=(_saved(self._links.drop(self._link(link).name, self._me)),))
            case ListLinks():
                return ListLinksReply(links=tuple(map(_saved, self._shown())))
            case FollowLink(link=link):
                return self._search(_saved(self._link(link)).query, 0)
            case DeleteMatching(query=query, token=token):
                return self._delete_matching(query, token)
            case UpdateMatching():
                return self._update_matching(call)
            case ShareFile():
                return self._share(call)
            case UnshareFile(token=token):
                Shares(files.version_store).close(token, self._me)
                return WriteFileReply(path="")
            case GetFilesStatus():
                self.library.freshen()
                pending, model = self.library.pending(), self.library.index.model()
                return GetFilesStatusReply(
                    files=sum(self.scope.sees(head.path) for head in files.heads()),
                    pending_files=pending.files,
                    pending_chunks=pending.chunks,
                    model=model[0] if model else None,
                )
            case WatchFiles():
                raise KernelBug("a watch waits in the core, not at a desk; please report this")
            case never:
                assert_never(never)

    def settled(self, call: FileCall) -> Reply | None:
        """The reply to a call that has made versions already; None where it has made none."""
        made = self.files.made_by(self.files.author)
        if not made:
            return None
        match call:
            case CreateFile() | WriteFile() | AppendFile() | DeleteFile() | RollbackFile():
                return _done(call.path, made[-1])
            case MoveFile() | CopyFile():
                return _done(call.target, made[-1])
            case ChangeFiles():
                return ChangeFilesReply(versions=tuple(map(self._version, made)))
            case DeleteMatching() | UpdateMatching():
                paths = tuple(dict.fromkeys(each.path for each in made))
                return UpdateMatchingReply(paths=paths, versions=tuple(map(self._version, made)))
            case _:
                return None

    def changes(self, since: int, paths: tuple[str, ...]) -> WatchFilesReply:
        """What happened after a seq to what may be seen and matches any of these globs."""
        found = self.files.changes_since(since)
        meant = glob_matches([each.path for each in found], paths)
        wanted = [each for each in found if each.path in meant and self.scope.sees(each.path)]
        return WatchFilesReply(versions=tuple(map(self._version, wanted)), seq=found[-1].seq if found else since)

    # --- what may be seen

    def _see(self, path: str, field: str = "path") -> str:
        """The path as it is written here, if the caller may see what it leads to."""
        # As it was given too: a transaction takes it so.
        here = self.files.root.alike(path)
        written = here if self.files.root.there(here) else self.files.alike(path)
        for each in dict.fromkeys((path, here, written)):
            self.scope.check(self.files.root.real(each, field, follow=False))
            self.scope.check(self.files.root.real(each, field))
        return written

    def _leads(self, path: str) -> bool:
        """Whether a path, and what it leads to if it is a link, may be seen."""
        if not self.scope.sees(path):
            return False
        if not self.scope.hidden:
            return True
        try:
            return self.scope.sees(self.files.root.real(path))
        except CallerError:
            return False

    def _touch(self, path: str) -> str:
        """The path, if the caller may see all that is below it."""
        self.scope.check(self.files.root.real(self._see(path), follow=False), whole=bool(self.scope.hidden))
        return path

    def _then(self, path: str, point: Point | None) -> Version:
        """A version of a file, by default the last. Raises Denied where it is of when the file lay out of sight."""
        found = self.files.version(self._see(path), None if point is None else values.at(point))
        if not self.scope.sees(found.path):
            raise Denied(f"version {found.number} of {path} is private to another agent; take a later one", field="at")
        return found

    def _version(self, version: Version) -> FileVersion:
        """A version in the ABI's form, without the names of files that may not be seen."""
        shown = values.version(version)
        if not self.scope.hidden:
            return shown
        source = shown.source if shown.source and self.scope.sees(shown.source) else None
        told = shown.op != "move" or self.scope.sees(shown.note.removeprefix("to "))
        return shown.model_copy(update={"source": source, "note": shown.note if told else ""})

    def _history(self, path: str, limit: int | None) -> list[Version]:
        return [each for each in self.files.history(path, limit) if self.scope.sees(each.path)]

    def _query(self, query: FileQuery, context: int = 0) -> Query:
        asked = values.query(query, context)
        return replace(asked, filters=self.scope.filters(asked.filters))

    # --- calls of several steps

    def _read(self, call: ReadFile) -> ReadFileReply:
        path = self._see(call.path)
        if call.at is None:
            data, number = self._steady(path, lambda: self.files.read(path, call.offset, call.length))
            return ReadFileReply(path=path, data=data, version=number)
        version = self._then(path, call.at)
        end = version.size if call.length is None else call.offset + call.length
        wanted = max(min(end, version.size) - call.offset, 0)
        if wanted > MAX_READ:
            advice = f"{MAX_READ} are read at most; ask for parts with offset and length"
            raise BadRequest(f"{path} had {version.size} bytes, and {wanted} of them are too many: {advice}", "length")
        data = self.files.show(path, version.number)[call.offset : end]
        return ReadFileReply(path=path, data=data, version=version.number)

    def _steady(self, path: str, look: Callable[[], T]) -> tuple[T, int | None]:
        """What is seen of a file, and the number of the version that it is of.

        None where another program changed the file since, or it was never recorded. A change between the look and
        the number would make them strangers: then both are taken again, while nobody writes.
        """
        before = self._number(path)
        seen = look()
        if before is not None and before == self._number(path):
            return seen, before
        if not stat.S_ISREG(self.files.root.info(self.files.root.real(path)).st_mode):
            return seen, None
        with self.files.version_store.locked():
            return look(), self._number(path)

    def _number(self, path: str) -> int | None:
        head = self.files.head(self.files.root.real(path))
        if head is None or not head.looks_like(self.files.root.info(head.path)):
            return None
        try:
            return self.files.by_seq(head.seq).number
        except NotFound:  # purged meanwhile
            return None

    def _search(self, query: FileQuery, context: int) -> SearchFilesReply:
        asked = self._query(query, context)
        self.library.freshen()
        if asked.text.strip():
            return values.hits(self.library.search(asked))
        entries = all_matching(self.library, asked)
        return SearchFilesReply(hits=tuple(map(values.listed, entries)), pending_files=self.library.pending().files)

    def _matching(self, query: FileQuery) -> list[IndexEntry]:
        self.library.freshen()
        return all_matching(self.library, self._query(query))

    def _joined(self, queries: tuple[FileQuery, ...], how: str) -> set[str]:
        sets = [{entry.path for entry in self._matching(query)} for query in queries]
        match how:
            case "all":
                return set.intersection(*sets)
            case "any":
                return set.union(*sets)
            case _:
                return sets[0].difference(*sets[1:])

    def _delete_matching(self, query: FileQuery, token: str | None) -> UpdateMatchingReply:
        entries = self._matching(query)
        paths = tuple(entry.path for entry in entries)
        if (right := confirmed(entries, "delete", token)) is not None:
            return UpdateMatchingReply(paths=paths, token=right if paths else None)
        made = self.files.transaction([Drop(entry.path, self._of(entry)) for entry in entries])
        return UpdateMatchingReply(paths=paths, versions=tuple(map(self._version, made)))

    def _update_matching(self, call: UpdateMatching) -> UpdateMatchingReply:
        find, by = call.find.encode(), call.replace.encode()
        having = [
            (entry, data) for entry in self._matching(call.query) if find in (data := self.files.read(entry.path))
        ]
        entries, paths = [entry for entry, _ in having], tuple(entry.path for entry, _ in having)
        what = json.dumps(["update", call.find, call.replace])
        if (right := confirmed(entries, what, call.token)) is not None:
            return UpdateMatchingReply(paths=paths, token=right if paths else None)
        made = self.files.transaction(
            [Put(entry.path, data.replace(find, by), self._of(entry)) for entry, data in having]
        )
        return UpdateMatchingReply(paths=paths, versions=tuple(map(self._version, made)))

    def _share(self, call: ShareFile) -> ShareFileReply:
        version = self._then(call.path, call.at)
        if version.sha256 is None:
            raise NotFound(f"{call.path} was deleted; share a version before that", field="at")
        share = Shares(self.files.version_store).open(version.seq, self._me, time.time() + call.ttl_s)
        return ShareFileReply(url=self.server.url(share.token, call.path), token=share.token, until=share.until)

    def _of(self, entry: IndexEntry) -> int:
        """The version that was listed: what changed since the list was confirmed stays."""
        return self.files.by_seq(entry.seq).number

    def _shown(self) -> list[ShareLink]:
        return [link for link in self._links.all() if link.owner == self._me or link.owner not in self.keepers]

    def _link(self, name: str) -> ShareLink:
        """A saved query that the caller may know of. Raises NotFound."""
        shown = {link.name: link for link in self._shown()}
        if name not in shown:
            raise NotFound(f"there is no saved query {name}; there are: {', '.join(shown) or 'none'}", field="link")
        return shown[name]

    @property
    def _links(self) -> ShareLinks:
        return ShareLinks(self.files.version_store)

    @property
    def _me(self) -> str:
        """To whom queries and shares belong: a program, in whichever run."""
        return self.files.author.name


def _done(path: str, version: Version | None) -> WriteFileReply:
    return WriteFileReply(path=path, version=None if version is None else version.number)


def _saved(link: ShareLink) -> SavedQuery:
    return SavedQuery(link=link.name, query=FileQuery.model_validate_json(link.query), author=link.owner)
