"""What an agent program is given: every syscall as a method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import anyio
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import from_json

from aios.sdk.conversation import Conversation
from aios.sdk.points import At, point
from aios.sdk.stream import Stream
from aios.sdk.watch import Watch
from aios_syscalls import (
    AgentFailed,
    AppendFile,
    CallTool,
    ChangeFiles,
    Chat,
    ChatReply,
    CopyFile,
    CreateFile,
    DeleteFile,
    DeleteMatching,
    DiffFile,
    DropFile,
    Embed,
    FileHit,
    FileInfo,
    FileLease,
    FileQuery,
    FileShare,
    FilesMatched,
    FilesStatus,
    FileVersion,
    FollowLink,
    GroupFiles,
    HistoryOfFile,
    JoinFiles,
    Kill,
    LinkFiles,
    ListFiles,
    ListLinks,
    ListProcesses,
    ListTags,
    ListTools,
    LockFile,
    Mail,
    Message,
    ModelFailed,
    MoveFile,
    ProcessInfo,
    ProcessState,
    PutFile,
    Rank,
    RankReply,
    ReadFile,
    Receive,
    RenameFile,
    RollbackFile,
    Sampling,
    SavedQuery,
    SearchFiles,
    Send,
    ShareFile,
    Spawn,
    StatFile,
    StatusOfFiles,
    TagFiles,
    ToolSpec,
    UndoFiles,
    UndoneFile,
    UnlinkFiles,
    UnlockFile,
    UnshareFile,
    UntagFiles,
    UpdateMatching,
    Wait,
    WriteFile,
)
from aios_syscalls.errors import from_wire
from aios_syscalls.port import Port

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
Prompt = str | Sequence[Message]


class Agent:
    """A process's view of the kernel; every method raises the ABI's errors."""

    def __init__(self, port: Port, pid: int) -> None:
        self.port = port
        self.pid = pid

    # -- llm

    async def chat(
        self,
        prompt: Prompt,
        *,
        system: str | None = None,
        tools: Sequence[ToolSpec] = (),
        tool_choice: Literal["auto", "required", "none"] = "auto",
        schema: dict[str, Any] | None = None,
        grammar: str | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        stop: Sequence[str] = (),
        max_tokens: int = 256,
        truncate: bool = False,
        cache_salt: str = "",
        model: str | None = None,
        priority: int = 0,
        deadline_s: float | None = None,
    ) -> ChatReply:
        """A model's answer to a prompt or a conversation; greedy unless `sampling` says otherwise."""
        return await self.port.submit(
            Chat(
                messages=_messages(prompt, system),
                tools=tuple(tools),
                tool_choice=tool_choice,
                response_schema=schema,
                grammar=grammar,
                sampling=sampling,
                stop=tuple(stop),
                max_tokens=max_tokens,
                truncate=truncate,
                cache_salt=cache_salt,
                model=model,
                priority=priority,
                deadline_s=deadline_s,
            )
        )

    def conversation(self, system: str | None = None) -> Conversation:
        """A chat of several turns, which remembers them."""
        return Conversation(self, system)

    async def ask(self, prompt: Prompt, **options: Any) -> str:
        """As `chat`, but the text alone, stripped."""
        return (await self.chat(prompt, **options)).text.strip()

    async def extract(self, prompt: Prompt, form: type[M], **options: Any) -> M:
        """An answer as a pydantic model: decoding is constrained to its JSON schema.

        Raises ModelFailed when the answer was cut off by `max_tokens` or breaks a rule that a grammar cannot hold.
        """
        reply = await self.chat(prompt, schema=form.model_json_schema(), **options)
        try:
            return form.model_validate_json(reply.text)
        except ValidationError as error:
            why = "max_tokens cut it off" if reply.finish == "length" else str(error)
            raise ModelFailed(f"the answer is no valid {form.__name__}: {why}; raise max_tokens or ask again") from None

    async def pick(self, prompt: Prompt, options: Iterable[str], **settings: Any) -> str:
        """One of `options`, chosen by the model. Raises ModelFailed when it writes something else all the same."""
        choices = list(options)
        reply = await self.chat(prompt, schema={"type": "string", "enum": choices}, **settings)
        try:
            choice = from_json(reply.text)
        except ValueError:
            choice = None
        if choice not in choices:
            raise ModelFailed(f"the answer {reply.text[:80]!r} is none of the options; raise max_tokens or ask again")
        return str(choice)

    async def rank(
        self,
        prompt: Prompt,
        options: Iterable[str],
        *,
        system: str | None = None,
        tools: Sequence[ToolSpec] = (),
        prefix: str = "",
        evidence: str = "",
        neutral: Sequence[str] = (),
        cache_salt: str = "",
        model: str | None = None,
        priority: int = 0,
        deadline_s: float | None = None,
    ) -> RankReply:
        """How likely the model finds each of some texts after `prefix`, or, if given, the `evidence` after each.

        `neutral` are replacements for the last user message, or the evidence, that ask nothing: an option is then not
        better for being likely anyway. Raises BadRequest for a remote model.
        """
        return await self.port.submit(
            Rank(
                messages=_messages(prompt, system),
                tools=tuple(tools),
                prefix=prefix,
                options=tuple(options),
                evidence=evidence,
                neutral=tuple(neutral),
                cache_salt=cache_salt,
                model=model,
                priority=priority,
                deadline_s=deadline_s,
            )
        )

    @asynccontextmanager
    async def stream(self, prompt: Prompt, *, system: str | None = None, **options: Any) -> AsyncIterator[Stream]:
        """An answer piece by piece: `async with agent.stream(...) as pieces: async for piece in pieces`."""
        stream = Stream()
        call = Chat(messages=_messages(prompt, system), **options)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, self.port, call)
            try:
                yield stream
            except Exception as error:  # raised below as it is, not in the task group's exception group
                failure = error
            tasks.cancel_scope.cancel()
        stream.close()
        if failure is not None:
            raise failure

    async def embed(
        self, texts: Sequence[str], *, truncate: bool = False, model: str | None = None, **options: Any
    ) -> tuple[tuple[float, ...], ...]:
        """A vector of length 1 for each of up to 256 texts, all of one model; their inner products are similarities.

        Name the model where vectors are kept: those of different models have nothing to do with each other.
        """
        call = Embed(texts=tuple(texts), truncate=truncate, model=model, **options)
        return (await self.port.submit(call)).vectors

    # -- tools

    async def call(self, tool: str, /, **arguments: JsonValue) -> JsonValue:
        """What a tool returns."""
        return (await self.port.submit(CallTool(tool=tool, arguments=arguments))).value

    async def tools(self, *names: str) -> tuple[ToolSpec, ...]:
        """Descriptions of the named tools, or of all."""
        return (await self.port.submit(ListTools(names=names))).tools

    # -- files

    async def read(self, path: str) -> str:
        """A file's text; bytes that are not UTF-8 become U+FFFD."""
        return (await self.port.submit(ReadFile(path=path))).text

    async def read_bytes(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """A file's bytes, or a part of them."""
        return (await self.port.submit(ReadFile(path=path, offset=offset, length=length))).data

    async def write(self, path: str, content: str | bytes, *, if_version: int | None = None) -> int | None:
        """Replace or make a file, whole; the number of its new version.

        Raises Conflict where it is not in version `if_version`, 0 for a file that is not there.
        """
        return (await self.port.submit(WriteFile(path=path, data=_bytes(content), if_version=if_version))).version

    async def append(self, path: str, content: str | bytes) -> int | None:
        """Add to a file's end, or make it; the number of its new version."""
        return (await self.port.submit(AppendFile(path=path, data=_bytes(content)))).version

    async def create(self, path: str, content: str | bytes = b"") -> int | None:
        """Make a file that must not exist yet; the number of its version."""
        return (await self.port.submit(CreateFile(path=path, data=_bytes(content)))).version

    async def mkdir(self, path: str) -> None:
        """Make a directory that must not exist yet."""
        await self.port.submit(CreateFile(path=path, kind="directory"))

    async def list(self, path: str = ".", *, recursive: bool = False) -> tuple[FileInfo, ...]:
        """The entries of a directory, sorted by path."""
        return (await self.port.submit(ListFiles(path=path, recursive=recursive))).entries

    async def stat(self, path: str) -> FileInfo:
        """A path's kind, size and time."""
        return (await self.port.submit(StatFile(path=path))).info

    async def version(self, path: str) -> int | None:
        """The number of the version that a file is in, for `if_version`; None where another program changed it."""
        return (await self.port.submit(StatFile(path=path))).version

    async def move(self, path: str, target: str) -> None:
        """Rename, history and all; the target must be free."""
        await self.port.submit(MoveFile(path=path, target=target))

    async def copy(self, path: str, target: str) -> None:
        """Make a file with another's bytes; the target must be free."""
        await self.port.submit(CopyFile(path=path, target=target))

    async def delete(self, path: str, *, if_version: int | None = None) -> None:
        """Remove a file, whose versions stay, or an empty directory."""
        await self.port.submit(DeleteFile(path=path, if_version=if_version))

    async def change(self, *changes: PutFile | DropFile | RenameFile) -> tuple[FileVersion, ...]:
        """Make all of these changes or none; the versions that come of them."""
        return (await self.port.submit(ChangeFiles(changes=changes))).versions

    # -- files: their past

    async def history(self, path: str, limit: int | None = None) -> tuple[FileVersion, ...]:
        """A file's versions, newest first, deleted or not."""
        return (await self.port.submit(HistoryOfFile(path=path, limit=limit))).versions

    async def read_at(self, path: str, at: At) -> bytes:
        """The bytes that a file had."""
        return (await self.port.submit(ReadFile(path=path, at=point(at)))).data

    async def diff(self, path: str, a: At, b: At | None = None) -> str:
        """What changed from one version to another, by default the last: a unified diff."""
        call = DiffFile(path=path, a=point(a), b=None if b is None else point(b))
        return (await self.port.submit(call)).text

    async def rollback(self, path: str, to: At) -> int | None:
        """Give a file the bytes that it had, as a new version, whose number this is."""
        return (await self.port.submit(RollbackFile(path=path, to=point(to)))).version

    async def undo(
        self, *, run: str | None = None, agent: str | None = None, dry_run: bool = False
    ) -> tuple[UndoneFile, ...]:
        """Take back all that a run or an agent did; what others changed since stays, and is told."""
        return (await self.port.submit(UndoFiles(run=run, agent=agent, dry_run=dry_run))).files

    async def tag(self, tag: str, *paths: str) -> int:
        """Name the present versions of these files, or of all; how many they are."""
        return (await self.port.submit(TagFiles(tag=tag, paths=paths))).tags[tag]

    async def untag(self, tag: str) -> int:
        """Forget a tag; how many versions had it."""
        return (await self.port.submit(UntagFiles(tag=tag))).tags[tag]

    async def tags(self) -> dict[str, int]:
        """Each tag and how many versions have it."""
        return (await self.port.submit(ListTags())).tags

    @asynccontextmanager
    async def lock(self, path: str, ttl_s: float = 60.0) -> AsyncIterator[FileLease]:
        """Nobody else changes a path, or what is below it, for the block; Denied while another has it.

        It ends by itself after `ttl_s`, however long the block takes.
        """
        lease = await self.port.submit(LockFile(path=path, ttl_s=ttl_s))
        try:
            yield lease
        finally:
            with anyio.CancelScope(shield=True):
                await self.port.submit(UnlockFile(token=lease.token))

    def watch(self, *paths: str, since: int | None = None) -> Watch:
        """Every change to what matches these globs, by anybody, as it happens; after the seq `since`, or from now."""
        return Watch(self.port, paths, since)

    # -- files: what they mean

    async def search(self, text: str, *, context: int = 0, **conditions: Any) -> tuple[FileHit, ...]:
        """The files that mean or say it, best first; conditions are those of FileQuery, such as `limit=3`."""
        call = SearchFiles(query=FileQuery(text=text, **conditions), context=context)
        return (await self.port.submit(call)).hits

    async def group(self, by: str = "topic", text: str = "", **conditions: Any) -> dict[str, tuple[str, ...]]:
        """Paths in groups: by topic, author, type, month, directory, or what files' heads state: `field:year`."""
        conditions = {"limit": 1_000, **conditions}
        groups = (await self.port.submit(GroupFiles(query=FileQuery(text=text, **conditions), by=by))).groups
        return {group.name: group.paths for group in groups}

    async def join(self, *queries: FileQuery, how: Literal["all", "any", "minus"] = "all") -> tuple[str, ...]:
        """The paths of all of these queries, of any of them, or of the first without the others'."""
        return (await self.port.submit(JoinFiles(queries=queries, how=how))).paths

    async def link(self, link: str, text: str = "", **conditions: Any) -> None:
        """Keep a query under a name, as a folder of whatever matches it."""
        await self.port.submit(LinkFiles(link=link, query=FileQuery(text=text, **conditions)))

    async def follow(self, link: str) -> tuple[FileHit, ...]:
        """What matches a saved query now."""
        return (await self.port.submit(FollowLink(link=link))).hits

    async def unlink(self, link: str) -> None:
        """Forget a saved query."""
        await self.port.submit(UnlinkFiles(link=link))

    async def share(self, path: str, ttl_s: float = 3_600.0, at: At | None = None) -> FileShare:
        """Where one version of a file can be fetched on this machine for a time."""
        return await self.port.submit(ShareFile(path=path, ttl_s=ttl_s, at=None if at is None else point(at)))

    async def unshare(self, token: str) -> None:
        """End a share before its time."""
        await self.port.submit(UnshareFile(token=token))

    async def links(self) -> tuple[SavedQuery, ...]:
        """Every saved query, by name."""
        return (await self.port.submit(ListLinks())).links

    async def delete_matching(self, query: FileQuery, token: str | None = None) -> FilesMatched:
        """Delete all that a query finds, in two steps.

        The first lists it and deletes nothing; the second, with the token of the first, deletes just that, and raises
        Conflict where any of it has changed since.
        """
        return await self.port.submit(DeleteMatching(query=query, token=token))

    async def update_matching(
        self, query: FileQuery, find: str, replace: str, token: str | None = None
    ) -> FilesMatched:
        """Replace a text in all files that a query finds, in the two steps of `delete_matching`."""
        return await self.port.submit(UpdateMatching(query=query, find=find, replace=replace, token=token))

    async def files_status(self) -> FilesStatus:
        """How many files there are, and how many of them cannot be found by meaning yet."""
        return await self.port.submit(StatusOfFiles())

    async def summarise(self, path: str, *, model: str | None = None) -> str:
        """What a file, or each of the first files of a folder, says, in a sentence or two."""
        from aios.sdk.files.tell import summarise

        return await summarise(self, path, model=model)

    async def compare(self, path: str, a: At, b: At | None = None, *, model: str | None = None) -> str:
        """How two versions of a file differ: lines counted, in words, and the lines."""
        from aios.sdk.files.tell import compare

        return await compare(self, path, point(a), None if b is None else point(b), model=model)

    # -- processes

    async def spawn(self, program: str, task: str = "") -> int:
        """Start a program as a child; its pid."""
        return (await self.port.submit(Spawn(program=program, task=task))).pid

    async def wait(self, pid: int) -> str:
        """A process's result, once it has ended. Raises AgentFailed when it failed or was killed."""
        process = (await self.port.submit(Wait(pid=pid))).process
        if process.state is ProcessState.DONE:
            return process.result or ""
        cause = from_wire(process.error or {})
        raise AgentFailed(f"process {pid} ({process.program}) {process.state}: {cause.message}", pid=pid)

    async def run(self, program: str, task: str = "") -> str:
        """Spawn a program and wait for its result."""
        return await self.wait(await self.spawn(program, task))

    async def kill(self, pid: int) -> tuple[int, ...]:
        """End a descendant and its children; the pids that ended."""
        return (await self.port.submit(Kill(pid=pid))).pids

    async def ps(self) -> tuple[ProcessInfo, ...]:
        """The process table."""
        return (await self.port.submit(ListProcesses())).processes

    async def send(self, to: int, body: str) -> None:
        """Put a message into a process's mailbox."""
        await self.port.submit(Send(to=to, body=body))

    async def receive(self, deadline_s: float | None = None) -> Mail:
        """The oldest message to this process, waited for; Expired after the deadline."""
        return await self.port.submit(Receive(deadline_s=deadline_s))


async def gather(*awaitables: Awaitable[T], width: int = 32) -> list[T]:
    """Await all, `width` at a time; their results in order. The first error cancels the rest and is raised as it is.

    The width keeps a program below the number of syscalls that one process may have under way.
    """
    results: dict[int, T] = {}
    failures: list[Exception] = []
    places = anyio.Semaphore(width)

    async def one(index: int, awaitable: Awaitable[T]) -> None:
        try:
            async with places:
                results[index] = await awaitable
        except Exception as error:
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for index, awaitable in enumerate(awaitables):
            tasks.start_soon(one, index, awaitable)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(awaitables))]


def _messages(prompt: Prompt, system: str | None) -> tuple[Message, ...]:
    head = (Message(role="system", content=system),) if system else ()
    body = (Message(role="user", content=prompt),) if isinstance(prompt, str) else tuple(prompt)
    return head + body


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
