"""FileCore: every call of the family, and a disk that hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import anyio
import httpx2
import pytest
from anyio import to_thread

from aios.cores.file import FileCore
from aios.kernel.core import Turn
from aios_storage import MAX_READ, Library
from aios_storage.disk import beneath
from aios_storage.index.filters import Selection
from aios_syscalls import (
    AppendFile,
    BadRequest,
    CallId,
    ChangeFiles,
    Conflict,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    Denied,
    DiffFile,
    DiffFileReply,
    DropFile,
    Exists,
    FileCall,
    FileGroup,
    FileQuery,
    FollowLink,
    GetFilesStatus,
    GroupFiles,
    GroupFilesReply,
    JoinFiles,
    JoinFilesReply,
    LinkFiles,
    ListFiles,
    ListLinks,
    ListLinksReply,
    ListTags,
    ListTagsReply,
    ListVersions,
    LockFile,
    ModelFailed,
    MoveFile,
    NotFound,
    Point,
    PutFile,
    ReadFile,
    Reply,
    RollbackFile,
    SearchFiles,
    ShareFile,
    StatFile,
    Syscall,
    TagFiles,
    UndoFiles,
    UndoFilesReply,
    UnlinkFiles,
    UnlockFile,
    UnshareFile,
    UntagFiles,
    UpdateMatching,
    UpdateMatchingReply,
    WatchFiles,
    WriteFile,
    WriteFileReply,
)

R = TypeVar("R", bound=Reply)


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FileCore]:
    core = FileCore(lambda: Library(tmp_path), "run-1", {"diary": "private"})
    yield core
    core.close()


async def ask(core: FileCore, call: Syscall[R], program: str = "writer") -> R:
    reply = await core.run(Turn(call, 1, None, None, lambda _: None, program, CallId(1, 7)))
    assert isinstance(reply, call.reply_type())
    return reply


def keywords(text: str, **conditions: Any) -> FileQuery:
    return FileQuery(text=text, mode="keyword", **conditions)


@pytest.mark.anyio
async def test_every_call_of_the_family_is_served(core: FileCore, tmp_path: Path) -> None:
    calls: list[tuple[Syscall[Any], Any]] = [
        (CreateFile(path="d", kind="directory"), WriteFileReply(path="d")),
        (CreateFile(path="d/a", data=b"one"), WriteFileReply(path="d/a", version=1)),
        (AppendFile(path="d/a", data=b" two"), WriteFileReply(path="d/a", version=2)),
        (MoveFile(path="d/a", target="b"), WriteFileReply(path="b", version=3)),
        (WriteFile(path="c", data=b"x"), WriteFileReply(path="c", version=1)),
        (CopyFile(path="b", target="e"), WriteFileReply(path="e", version=1)),
        (DeleteFile(path="d"), WriteFileReply(path="d")),
        (DiffFile(path="b", a=Point(number=3)), DiffFileReply(text="")),
        (RollbackFile(path="b", to=Point(number=1)), WriteFileReply(path="b", version=4)),
        (TagFiles(tag="first", paths=("b",)), ListTagsReply(tags={"first": 1})),
        (ListTags(), ListTagsReply(tags={"first": 1})),
        (UntagFiles(tag="first"), ListTagsReply(tags={"first": 1})),
        (UndoFiles(run="another"), UndoFilesReply(files=())),
        (JoinFiles(queries=(keywords("one"), keywords("x")), how="any"), JoinFilesReply(paths=("b", "c", "e"))),
        (JoinFiles(queries=(keywords("one"), keywords("two")), how="minus"), JoinFilesReply(paths=("b",))),
        (GroupFiles(by="type"), GroupFilesReply(groups=(FileGroup(name="text", paths=("b", "c", "e")),))),
        (ListLinks(), ListLinksReply(links=())),
    ]
    for call, reply in calls:
        assert await ask(core, call) == reply
    assert (await ask(core, ReadFile(path="e", offset=2, length=3))).data == b"e t"
    assert (await ask(core, ReadFile(path="b", at=Point(number=2)))).text == "one two"
    listing = (await ask(core, ListFiles())).entries
    assert [(entry.path, entry.kind, entry.size) for entry in listing] == [
        ("b", "file", 3),
        ("c", "file", 1),
        ("e", "file", 7),
    ]
    stat = await ask(core, StatFile(path="b"))
    assert (stat.info, stat.version) == (listing[0], 4)
    history = (await ask(core, ListVersions(path="b"))).versions
    assert [(each.op, each.author, each.run, each.pid) for each in history[:2]] == [
        ("rollback", "writer", "run-1", 1),
        ("move", "writer", "run-1", 1),
    ]
    hits = (await ask(core, SearchFiles(query=keywords("two")))).hits
    assert [(hit.path, hit.why, hit.snippet, hit.marks) for hit in hits] == [("e", "kw", "one two", ((4, 7),))]
    links = (await ask(core, LinkFiles(link="ones", query=keywords("one")))).links
    assert [(link.link, link.author) for link in links] == [("ones", "writer")]
    assert {hit.path for hit in (await ask(core, FollowLink(link="ones"))).hits} == {"b", "e"}
    await ask(core, UnlinkFiles(link="ones"))
    lease = await ask(core, LockFile(path="b"))
    assert await ask(core, UnlockFile(token=lease.token)) == WriteFileReply(path="b")
    status = await ask(core, GetFilesStatus())
    assert (status.files, status.pending_files, status.model) == (3, 3, None)
    changed = await ask(core, ChangeFiles(changes=(PutFile(path="n", data=b"n"), DropFile(path="c"))))
    assert [(each.path, each.sha256 is None) for each in changed.versions] == [("n", False), ("c", True)]
    share = await ask(core, ShareFile(path="n"))
    await ask(core, UnshareFile(token=share.token))
    assert (await ask(core, WatchFiles(since=0, paths=("n",)))).versions == changed.versions[:1]
    for matching in (
        DeleteMatching(query=keywords("nothing")),
        UpdateMatching(query=keywords("n"), find="z", replace=""),
    ):
        assert await ask(core, matching) == UpdateMatchingReply(paths=())
    served = {type(call) for call, _ in calls} | {
        *(ReadFile, ListFiles, StatFile, ListVersions, SearchFiles, LinkFiles, FollowLink, UnlinkFiles, LockFile),
        *(UnlockFile, GetFilesStatus, ChangeFiles, ShareFile, UnshareFile, WatchFiles, DeleteMatching, UpdateMatching),
    }
    assert served == set(get_args(FileCall))


@pytest.mark.anyio
async def test_errors_are_the_abis(core: FileCore) -> None:
    await ask(core, WriteFile(path="a", data=b"x"))
    cases: list[tuple[Syscall[Any], type[Exception]]] = [
        (ReadFile(path="b"), NotFound),
        (CreateFile(path="a"), Exists),
        (WriteFile(path="a", data=b"", if_version=3), Conflict),
        (ReadFile(path="../a"), Denied),
        (ReadFile(path=""), BadRequest),
        (WriteFile(path=".bashrc", data=b"x"), Denied),
        (ReadFile(path="a", at=Point(tag="none")), NotFound),
        (UndoFiles(), BadRequest),
        (FollowLink(link="none"), NotFound),
        (SearchFiles(query=FileQuery(text="x", mode="semantic")), ModelFailed),
    ]
    for call, kind in cases:
        with pytest.raises(kind):
            await ask(core, call)


@pytest.mark.anyio
async def test_a_change_of_all_that_matches_needs_the_token_of_just_that(core: FileCore, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        await ask(core, WriteFile(path=name, data=b"a draft about penguins"))
    query = keywords("penguins", paths=("one", "two"))
    listed = await ask(core, DeleteMatching(query=query))
    assert (set(listed.paths), listed.versions) == ({"one", "two"}, ())
    assert (tmp_path / "one").exists()
    await ask(core, AppendFile(path="two", data=b", changed"))
    with pytest.raises(Conflict, match="look at the list again"):
        await ask(core, DeleteMatching(query=query, token=listed.token))
    with pytest.raises(Conflict):
        await ask(core, UpdateMatching(query=query, find="draft", replace="text", token=listed.token))
    again = await ask(core, DeleteMatching(query=query))
    assert set((await ask(core, DeleteMatching(query=query, token=again.token))).paths) == {"one", "two"}
    assert sorted(path.name for path in tmp_path.glob("[a-z]*")) == ["three"]
    update = UpdateMatching(query=keywords("penguins"), find="draft", replace="text")
    token = (await ask(core, update)).token
    await ask(core, update.model_copy(update={"token": token}))
    assert (tmp_path / "three").read_text() == "a text about penguins"
    assert len((await ask(core, UndoFiles(run="run-1", dry_run=True))).files) == 1


@pytest.mark.anyio
async def test_a_share_is_one_version_until_it_ends(core: FileCore) -> None:
    await ask(core, WriteFile(path="a b.txt", data=b"shared"))
    share = await ask(core, ShareFile(path="a b.txt"))
    await ask(core, WriteFile(path="a b.txt", data=b"not shared"))
    async with httpx2.AsyncClient() as client:
        assert (await client.get(share.url)).content == b"shared"
        assert (await client.get(share.url.replace(share.token, "x" * 32))).status_code == 404
        await ask(core, UnshareFile(token=share.token))
        assert (await client.get(share.url)).status_code == 404
        short = await ask(core, ShareFile(path="a b.txt", ttl_s=0.01))
        await anyio.sleep(0.02)
        assert (await client.get(short.url)).status_code == 404


@pytest.mark.anyio
async def test_a_watch_ends_with_the_change_or_with_its_time(core: FileCore) -> None:
    seen = []

    async def watch() -> None:
        seen.append(await ask(core, WatchFiles(paths=("notes/*",))))

    await ask(core, CreateFile(path="notes", kind="directory"))
    assert (await ask(core, WatchFiles(timeout_s=0))).versions == ()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        while not seen:
            await ask(core, WriteFile(path="other", data=b"x"))
            await ask(core, AppendFile(path="notes/a", data=b"x"))
            await anyio.sleep(0.05)
    assert {version.path for version in seen[0].versions} == {"notes/a"}
    # Globs mean here what they mean in a search: a bare name is a file of that name anywhere.
    for globs in (("a",), ("notes",), ("**/a",), ("./notes/*",)):
        watched = await ask(core, WatchFiles(paths=globs, since=0))
        found = (await ask(core, JoinFiles(queries=(FileQuery(paths=globs),)))).paths
        assert {version.path for version in watched.versions} == set(found) == {"notes/a"}


@pytest.mark.anyio
async def test_what_is_private_to_a_program_no_other_sees_in_any_call(core: FileCore, tmp_path: Path) -> None:
    secret = b"the secret about penguins"
    await ask(core, CreateFile(path="private", kind="directory"), "diary")
    await ask(core, WriteFile(path="private/a", data=secret), "diary")
    await ask(core, WriteFile(path="private/moved", data=secret), "diary")
    await ask(core, MoveFile(path="private/moved", target="published"), "diary")
    await ask(core, WriteFile(path="published", data=b"what penguins eat"), "diary")
    (tmp_path / "door").symlink_to("private")
    lease = await ask(core, LockFile(path="published"), "diary")
    await ask(core, UnlockFile(token=lease.token), "diary")
    denied: list[Syscall[Any]] = [
        ReadFile(path="private/a"),
        ReadFile(path="door/a"),
        ReadFile(path="published", at=Point(number=1)),
        ListFiles(path="private"),
        StatFile(path="private/a"),
        WriteFile(path="private/b", data=b""),
        CreateFile(path="private/b"),
        AppendFile(path="private/a", data=b""),
        MoveFile(path="published", target="private/c"),
        MoveFile(path="private", target="mine"),
        CopyFile(path="private/a", target="mine"),
        DeleteFile(path="private/a"),
        ListVersions(path="private/a"),
        DiffFile(path="private/a", a=Point(number=1)),
        DiffFile(path="published", a=Point(number=1)),
        RollbackFile(path="private/a", to=Point(number=1)),
        RollbackFile(path="published", to=Point(number=1)),
        TagFiles(tag="t", paths=("private",)),
        LockFile(path="private"),
        ShareFile(path="private/a"),
        ChangeFiles(changes=(PutFile(path="ok", data=b""), DropFile(path="private/a"))),
    ]
    for call in denied:
        with pytest.raises(Denied, match="private to another agent"):
            await ask(core, call)
    assert {each.path for each in (await ask(core, ListFiles(recursive=True))).entries} == {"published"}
    for query in (
        keywords("penguins"),
        keywords("secret"),
        FileQuery(),
        keywords("private"),
        FileQuery(paths=("private",)),
    ):
        assert all(hit.path == "published" for hit in (await ask(core, SearchFiles(query=query))).hits)
    assert (await ask(core, JoinFiles(queries=(FileQuery(),)))).paths == ("published",)
    assert (await ask(core, GroupFiles(by="directory"))).groups == (FileGroup(name=".", paths=("published",)),)
    assert (await ask(core, DeleteMatching(query=keywords("penguins")))).paths == ("published",)
    assert {each.path for each in (await ask(core, WatchFiles(since=0))).versions} == {"published"}
    assert {each.path for each in (await ask(core, ListVersions(path="published"))).versions} == {"published"}
    assert {each.path for each in (await ask(core, UndoFiles(agent="diary", dry_run=True))).files} == {"published"}
    assert (await ask(core, TagFiles(tag="all"))).tags == {"all": 1}
    assert (await ask(core, SearchFiles(query=keywords("secret")), "diary")).hits[0].path == "private/a"


class Stuck:
    """Finds by meaning, but is never done."""

    model = "stuck"

    def __init__(self) -> None:
        self.asked, self.free = threading.Semaphore(0), threading.Event()

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[tuple[bytes, float]]:
        self.asked.release()
        self.free.wait()
        return []


@pytest.mark.anyio
async def test_an_embedder_that_hangs_holds_up_searches_alone(tmp_path: Path) -> None:
    stuck = Stuck()
    core = FileCore(lambda: Library(tmp_path, nearest=stuck), searches=2)
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask, core, SearchFiles(query=FileQuery(text="penguins")))
            for _ in range(2):
                await to_thread.run_sync(stuck.asked.acquire)
            await ask(core, WriteFile(path="a", data=b"x"))
            assert (await ask(core, ReadFile(path="a"))).version == 1
            tasks.cancel_scope.cancel()
    finally:
        stuck.free.set()
        core.close()


@pytest.mark.anyio
async def test_a_part_of_an_old_version_is_read(core: FileCore) -> None:
    await ask(core, WriteFile(path="a", data=b"0123456789"))
    await ask(core, WriteFile(path="a", data=b""))
    old = Point(number=1)
    assert (await ask(core, ReadFile(path="a", at=old, offset=2, length=3))).data == b"234"
    assert (await ask(core, ReadFile(path="a", at=old, offset=8))).data == b"89"
    assert (await ask(core, ReadFile(path="a", at=old, offset=20))).data == b""
    await ask(core, WriteFile(path="a", data=bytes(MAX_READ + 1)))
    await ask(core, WriteFile(path="a", data=b""))
    with pytest.raises(BadRequest, match="ask for parts"):
        await ask(core, ReadFile(path="a", at=Point(number=3)))
    assert len((await ask(core, ReadFile(path="a", at=Point(number=3), offset=1))).data) == MAX_READ


@pytest.mark.anyio
async def test_a_disk_that_hangs_stops_neither_the_loop_nor_a_cancelled_caller(
    core: FileCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = threading.Event(), threading.Event()
    real = beneath.real

    def hang(fd: int, parts: tuple[str, ...]) -> tuple[str, ...]:
        if parts == ("slow",):
            stuck.set()
            free.wait()
        return real(fd, parts)

    monkeypatch.setattr(beneath, "real", hang)
    await ask(core, WriteFile(path="a", data=b""))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, core, ReadFile(path="slow"))
            await to_thread.run_sync(stuck.wait)
            await ask(core, WriteFile(path="a", data=b"x"))
            tasks.cancel_scope.cancel()
    finally:
        free.set()
