"""Whether anything private to one agent shows to another: random calls of every kind through a kernel."""

from __future__ import annotations

import random
import secrets
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from aios.boot import boot
from aios.config import Config, FilesConfig
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent
from aios_syscalls import (
    AiosError,
    AppendFile,
    ChangeFiles,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    DiffFile,
    DropFile,
    FileQuery,
    FollowLink,
    GetFilesStatus,
    GetFilesStatusReply,
    GroupFiles,
    JoinFiles,
    LinkFiles,
    ListFiles,
    ListLinks,
    ListTags,
    ListVersions,
    LockFile,
    MoveFile,
    Point,
    PutFile,
    ReadFile,
    RenameFile,
    Reply,
    RollbackFile,
    SearchFiles,
    ShareFile,
    ShareFileReply,
    StatFile,
    Syscall,
    TagFiles,
    UndoFiles,
    UnlinkFiles,
    UntagFiles,
    UpdateMatching,
    WatchFiles,
    WriteFile,
)

OWNER, SPY = "diary", "spy"
PRIVATE = "inner/diary"
WORDS = ("penguins", "budget", "secret", "draft", "password", "meeting", "red", "engine", "note", "plan")
SHARED = tuple(f"shared/{name}.txt" for name in ("a", "b", "c", "d"))
PUBLISHED = "published.txt"
"""Lay in the private directory once, with other words in it."""
EMBED_S = 60.0


@dataclass(slots=True)
class Secret:
    """Words that are in private files, or in their names, alone; and what the spy has seen of them."""

    words: tuple[str, ...]
    paths: tuple[str, ...]
    leaks: list[str] = field(default_factory=list)
    answered: int = 0
    refused: int = 0


def measure(queries: int, seed: int = 1, embedder: str = "none") -> dict[str, float]:
    """How many of so many random calls showed anything private, or changed it; how many were answered or refused.

    `embedder` is as in the configuration's `[files]`: with one, files are searched by meaning too.
    """
    with tempfile.TemporaryDirectory(prefix="aios-leaks-") as scratch:
        secret = anyio.run(_measure, Path(scratch), queries, seed, embedder)
    for leak in secret.leaks[:20]:
        print(leak)
    return {
        "private_queries": queries,
        "private_leaks": len(secret.leaks),
        "private_answered": secret.answered,
        "private_refused": secret.refused,
    }


async def _measure(scratch: Path, queries: int, seed: int, embedder: str) -> Secret:
    root = scratch / "files"
    (root / PRIVATE).mkdir(parents=True)
    (root / "shared").mkdir()
    (root / "door").symlink_to(PRIVATE)
    dice = random.Random(seed)
    marks = tuple(f"mark{secrets.token_hex(6)}" for _ in range(8))
    secret = Secret(marks, tuple(f"{PRIVATE}/{name}.txt" for name in ("known", *marks[:3])))

    async def diary(agent: Agent, _: str) -> str:
        await _plant(agent, dice, secret)
        return ""

    async def spy(agent: Agent, _: str) -> str:
        await _spy(agent, dice, secret, queries)
        return ""

    files = FilesConfig(embedder=embedder, private={OWNER: PRIVATE})
    config = Config(root=root, isolate=False, files=files)
    mains = {OWNER: diary, SPY: spy}
    async with boot(config, models=[ScriptedModel([])], mains=mains, directory=scratch / "run") as run:
        user = Agent(run.run.port(0), 0)
        await user.run(OWNER)
        before = _private(root)
        if embedder != "none":
            await _embedded(user)
        await user.run(SPY)
        if _private(root) != before:
            secret.leaks.append(f"private files were changed: {before.keys()} before, {_private(root).keys()} after")
    return secret


def _private(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (root / PRIVATE).rglob("*") if path.is_file()}


async def _plant(agent: Agent, dice: random.Random, secret: Secret) -> None:
    """Files with a past, public and private; saved queries and tags of private things."""
    for path in SHARED:
        for _ in range(3):
            await agent.write(path, " ".join(dice.choices(WORDS, k=12)))
    for path in secret.paths:
        for _ in range(2):
            words = [*dice.choices(WORDS, k=6), *dice.choices(secret.words[3:], k=3)]
            await agent.write(path, f"Author: {dice.choice(secret.words)}\n\n{' '.join(words)}")
    once = f"{PRIVATE}/{secret.words[0]}-once.txt"
    await agent.write(once, f"{secret.words[7]} penguins")
    await agent.write(once, "penguins for all")
    await agent.move(once, PUBLISHED)
    await agent.copy(PUBLISHED, f"{PRIVATE}/{secret.words[1]}-copy.txt")
    await agent.write("moved.txt", "a public note")
    await agent.move("moved.txt", f"{PRIVATE}/{secret.words[2]}-hidden.txt")
    await agent.tag("mine", PRIVATE)
    await agent.tag("all")
    await agent.link("own", secret.words[4], paths=(PRIVATE,))


async def _embedded(agent: Agent) -> None:
    with anyio.move_on_after(EMBED_S):
        await agent.port.submit(SearchFiles(query=FileQuery(text="penguins")))
        while True:
            status: GetFilesStatusReply = await agent.port.submit(GetFilesStatus())
            if status.model is not None and not status.pending_files:
                return
            await anyio.sleep(0.2)


async def _spy(agent: Agent, dice: random.Random, secret: Secret, queries: int) -> None:
    makers = tuple(_makers(dice, secret))
    tokens: list[str] = []
    for _ in range(queries):
        call = dice.choice(makers)()
        if isinstance(call, DeleteMatching | UpdateMatching) and tokens and dice.random() < 0.3:
            call = call.model_copy(update={"token": tokens[-1]})
        try:
            reply: Reply = await agent.port.submit(call)
        except AiosError as error:
            secret.refused += 1
            _look(call, error.to_wire(), secret)
            continue
        secret.answered += 1
        shown = reply.model_dump()
        _look(call, shown, secret)
        tokens += [shown["token"]] if shown.get("token") and not isinstance(reply, ShareFileReply) else []
        if isinstance(reply, ShareFileReply):
            _look(call, await to_thread.run_sync(_fetched, reply.url), secret)


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as found:
        return bytes(found.read())


def _look(call: Syscall[Any], shown: Any, secret: Secret) -> None:
    """Note what a reply says that its call did not, and any private path that is an answer rather than an echo."""
    asked = f"{call.name} {call.model_dump_json()}"
    for link in shown.get("links", ()) if isinstance(shown, dict) else ():
        if link["author"] != SPY:
            secret.leaks.append(f"{call.name} showed the query {link}")
            return
    if isinstance(shown, dict) and "links" in shown:
        return  # Its own queries, which may name anything.
    for key, text in _texts(shown, ""):
        told = [word for word in secret.words if word in text and word not in asked]
        answer = key in ("path", "paths", "source", "entries") and PRIVATE in text and text not in asked
        if told or answer:
            secret.leaks.append(f"{asked} showed {key}: {text[:200]}")
            return


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield key, str(name)
            yield from _texts(each, str(name))
    elif isinstance(value, bytes):
        yield key, value.decode("utf-8", "replace")
    elif isinstance(value, str):
        yield key, value
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each, key)


class _Arguments:
    """Random arguments of calls, with paths that try each way in."""

    def __init__(self, dice: random.Random, secret: Secret) -> None:
        self._dice, self._secret = dice, secret
        self._outside = (*SHARED, PUBLISHED, "moved.txt", "new.txt", "shared", ".")
        names = [path.rpartition("/")[2] for path in secret.paths]
        self._inside = (
            *(PRIVATE, "inner", "door", "door/known.txt", f"./{PRIVATE}//known.txt", "inner/./diary/known.txt"),
            *(f"{PRIVATE}/{name}" for name in names),
            *(f"door/{name}" for name in names),
            *(f"{PRIVATE}/new.txt", "Inner/diary/known.txt", f"shared/../{PRIVATE}/known.txt", f"/{PRIVATE}/known.txt"),
            *(".aios", ".aios/truth.db", ".aios/index.db", ".aios/truth.db-wal", "./.aios/index.db-wal"),
        )

    def path(self) -> str:
        return self._dice.choice(self._inside if self._dice.random() < 0.6 else self._outside)

    def text(self) -> str:
        words = self._dice.choices((*WORDS, *self._secret.words, "", "known", PRIVATE), k=self._dice.randint(1, 4))
        form = self._dice.choice(("{}", "+{}", "-{}", '"{}"'))
        return " ".join(form.format(word) for word in words).strip()

    def globs(self) -> tuple[str, ...]:
        some = (
            "*",
            "**/*",
            f"{PRIVATE}/*",
            PRIVATE,
            "inner/*/known*",
            "door/*",
            "known.txt",
            "[!x]*",
            "shared/*",
            ".aios/*",
        )
        return tuple(self._dice.choices(some, k=self._dice.randint(0, 2)))

    def query(self) -> FileQuery:
        word = self._dice.choice(self._secret.words)
        return FileQuery(
            text=self._dice.choice(("", self.text())),
            mode=self._dice.choice(("hybrid", "keyword", "semantic")),
            limit=self._dice.choice((1, 10, 1_000)),
            paths=self.globs(),
            authors=self._dice.choice(((), (), (OWNER,), (SPY, OWNER))),
            types=self._dice.choice(((), (), ("txt",), ("text",))),
            tags=self._dice.choice(((), (), ("mine",), ("all",))),
            min_size=self._dice.choice((None, 0)),
            fields=self._dice.choice(
                (
                    (),
                    (),
                    (("author", word),),
                    (("author", "!=x"),),
                    (("author", ">a"),),
                )
            ),
        )

    def at(self) -> Point:
        number = Point(number=self._dice.choice((1, 2, 3, 4, -1, -2, -3)))
        return self._dice.choice(
            (number, number, Point(time=self._dice.choice((1.0, 4e9))), Point(tag=self._dice.choice(("mine", "all"))))
        )


def _makers(dice: random.Random, secret: Secret) -> Iterator[Callable[[], Syscall[Any]]]:
    """Every kind of call."""
    some = _Arguments(dice, secret)
    path, globs, query, at = some.path, some.globs, some.query, some.at
    yield lambda: ReadFile(path=path())
    yield lambda: ReadFile(path=path(), at=at())
    yield lambda: StatFile(path=path())
    yield lambda: ListFiles(path=path(), recursive=dice.random() < 0.5)
    yield lambda: ListVersions(path=path(), limit=dice.choice((None, 1)))
    yield lambda: DiffFile(path=path(), a=at(), b=dice.choice((None, at())))
    yield lambda: RollbackFile(path=path(), to=at())
    yield lambda: UndoFiles(agent=dice.choice((OWNER, SPY)), dry_run=dice.random() < 0.8)
    yield lambda: TagFiles(tag=dice.choice(("mine", "all", "spies")), paths=dice.choice(((), (path(),))))
    yield lambda: UntagFiles(tag=dice.choice(("mine", "spies")))
    yield ListTags
    yield lambda: WriteFile(path=path(), data=b"by the spy: penguins")
    yield lambda: CreateFile(path=path(), kind=dice.choice(("file", "directory")))
    yield lambda: AppendFile(path=path(), data=b" more")
    yield lambda: MoveFile(path=path(), target=path())
    yield lambda: CopyFile(path=path(), target=path())
    yield lambda: DeleteFile(path=path())
    yield lambda: ChangeFiles(changes=(PutFile(path="new.txt", data=b"x"), DropFile(path=path())))
    yield lambda: ChangeFiles(changes=(RenameFile(path=path(), target=path()),))
    yield lambda: ChangeFiles(changes=(PutFile(path=path(), data=b"penguins"),))
    yield lambda: LockFile(path=path(), ttl_s=0.001)
    yield lambda: ShareFile(path=path(), at=dice.choice((None, at())), ttl_s=60)
    yield lambda: WatchFiles(paths=globs(), since=dice.randint(0, 30), timeout_s=0.001)
    yield lambda: LinkFiles(link=dice.choice(("own", "spied")), query=query())
    yield lambda: UnlinkFiles(link=dice.choice(("own", "spied")))
    yield lambda: FollowLink(link=dice.choice(("own", "spied")))
    yield ListLinks
    yield GetFilesStatus
    for _ in range(6):
        yield lambda: SearchFiles(query=query(), context=dice.choice((0, 3)))
    for _ in range(2):
        yield lambda: GroupFiles(
            query=query(), by=dice.choice(("topic", "author", "type", "month", "directory", "year"))
        )
        yield lambda: JoinFiles(queries=(query(), query()), how=dice.choice(("all", "any", "minus")))
    yield lambda: DeleteMatching(query=query())
    yield lambda: UpdateMatching(query=query(), find=dice.choice((*WORDS, *secret.words)), replace="spied")
