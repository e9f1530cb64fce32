"""`aios.connect_sync`: the agent of `aios.connect` for notebooks and scripts, whose methods block.

The agent lives in an event loop of its own, in a thread of its own, so it does not matter whether the calling thread
has a loop that runs, as a notebook's has.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import Future as ThreadFuture
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, suppress
from functools import wraps
from threading import Thread
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal
from pydantic import BaseModel

from aios.client.connect import check_process, connect
from aios.sdk import Agent, Conversation, Future, Graph, Stream
from aios.sdk.prompt import Prompt
from aios.sdk.watch import FileWatch
from aios_syscalls import Budget, Cancelled, ChatReply, FileHit, FileVersion, LockFileReply, Message, NoKernel, Outcome

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


def blocking(method: Callable[Concatenate[Agent, P], Awaitable[R]]) -> Callable[Concatenate[BlockingAgent, P], R]:
    """A method of `Agent` as one of `BlockingAgent`: of the same signature, and its result is there on return."""

    @wraps(method)
    def call(self: BlockingAgent, /, *arguments: P.args, **options: P.kwargs) -> R:
        return self._await(lambda: method(self.later, *arguments, **options))

    return call


class BlockingAgent:
    """An agent whose methods block; any thread may call them. Close it, or use it as a context manager.

    An interrupt, as by Ctrl-C, cancels the call that it interrupts.
    """

    def __init__(self, **options: Any) -> None:
        self._process, self._closed = os.getpid(), False
        self._portal, self._thread = _start_loop()
        try:
            # Never left by hand: `close` cancels all that is in the portal, which leaves this too.
            self.later: Agent = self._portal.wrap_async_context_manager(connect(**options)).__enter__()
            """The agent itself: what its methods return is awaited by `gather`."""
        except BaseException:
            self.close()
            raise
        self.pid = self.later.pid
        atexit.register(self.close)

    # -- llm

    chat = blocking(Agent.chat)
    rank = blocking(Agent.rank)
    feedback = blocking(Agent.feedback)

    def ask(self, prompt: Prompt, **options: Any) -> str:
        """As `chat`, but the text alone, stripped."""
        return self._await(lambda: self.later.ask(prompt, **options))

    def pick(self, prompt: Prompt, options: Iterable[str], **settings: Any) -> str:
        """One of `options`, chosen by the model."""
        return self._await(lambda: self.later.pick(prompt, options, **settings))

    def extract(self, prompt: Prompt, form: type[M], **options: Any) -> M:
        """An answer as a pydantic model: decoding is constrained to its JSON schema."""
        return self._await(lambda: self.later.extract(prompt, form, **options))

    def embed(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = False,
        model: str | None = None,
        local_only: bool = False,
        **options: Any,
    ) -> tuple[tuple[float, ...], ...]:
        """A vector of length 1 for each of up to 256 texts, all of one model."""
        return self._await(
            lambda: self.later.embed(texts, truncate=truncate, model=model, local_only=local_only, **options)
        )

    def stream(self, prompt: Prompt, **options: Any) -> BlockingStream:
        """An answer piece by piece: `for piece in agent.stream(...)`."""
        return BlockingStream(self, prompt, options)

    def conversation(self, system: str | None = None) -> BlockingConversation:
        """A chat of several turns, which remembers them."""
        return BlockingConversation(self, system)

    # -- tools

    call = blocking(Agent.call)
    tools = blocking(Agent.tools)

    # -- several calls at once

    def graph(self) -> BlockingGraph:
        """Calls that are written down first, on each other's answers, and submitted in one syscall."""
        return BlockingGraph(self)

    def gather(self, *awaitables: Awaitable[T], width: int = 32) -> list[T]:
        """The results of several calls of `later`, or futures of a graph: `agent.gather(agent.later.ask(a), ...)`."""
        return self._await(lambda: self.later.gather(*awaitables, width=width))

    # -- processes

    spawn = blocking(Agent.spawn)
    wait = blocking(Agent.wait)
    run = blocking(Agent.run)
    kill = blocking(Agent.kill)
    ps = blocking(Agent.ps)
    left = blocking(Agent.left)
    send = blocking(Agent.send)
    receive = blocking(Agent.receive)
    note = blocking(Agent.note)
    now = blocking(Agent.now)
    random = blocking(Agent.random)
    env = blocking(Agent.env)
    checkpoint = blocking(Agent.checkpoint)

    # -- files

    read = blocking(Agent.read)
    read_bytes = blocking(Agent.read_bytes)
    write = blocking(Agent.write)
    append = blocking(Agent.append)
    create = blocking(Agent.create)
    mkdir = blocking(Agent.mkdir)
    list = blocking(Agent.list)
    stat = blocking(Agent.stat)
    version = blocking(Agent.version)
    move = blocking(Agent.move)
    copy = blocking(Agent.copy)
    delete = blocking(Agent.delete)
    change = blocking(Agent.change)
    history = blocking(Agent.history)
    read_at = blocking(Agent.read_at)
    diff = blocking(Agent.diff)
    rollback = blocking(Agent.rollback)
    undo = blocking(Agent.undo)
    tag = blocking(Agent.tag)
    untag = blocking(Agent.untag)
    tags = blocking(Agent.tags)
    join = blocking(Agent.join)
    follow = blocking(Agent.follow)
    unlink = blocking(Agent.unlink)
    share = blocking(Agent.share)
    unshare = blocking(Agent.unshare)
    links = blocking(Agent.links)
    delete_matching = blocking(Agent.delete_matching)
    update_matching = blocking(Agent.update_matching)
    files_status = blocking(Agent.files_status)

    def search(self, text: str, *, context: int = 0, **conditions: Any) -> tuple[FileHit, ...]:
        """Files by meaning and by words; see `Agent.search`."""
        return self._await(lambda: self.later.search(text, context=context, **conditions))

    def group(self, by: str = "topic", text: str = "", **conditions: Any) -> dict[str, tuple[str, ...]]:
        """Files in groups; see `Agent.group`."""
        return self._await(lambda: self.later.group(by, text, **conditions))

    def link(self, link: str, text: str = "", **conditions: Any) -> None:
        """Keep a query under a name; see `Agent.link`."""
        return self._await(lambda: self.later.link(link, text, **conditions))

    def lock(self, path: str, ttl_s: float = 60.0) -> AbstractContextManager[LockFileReply]:
        """A file locked for this process while the context is open."""
        return self._within(self.later.lock(path, ttl_s))

    def watch(self, *paths: str, since: int | None = None) -> Iterator[FileVersion]:
        """Versions of files as they are made, for ever."""
        watch: FileWatch = self.later.watch(*paths, since=since)
        while True:
            yield self._await(lambda: anext(watch))

    # -- the connection

    def close(self) -> None:
        """End the process, and with it what it has under way. A second time does nothing."""
        if self._closed or os.getpid() != self._process:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._portal.call(self._portal.stop, True)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await(self, make: Callable[[], Awaitable[R]]) -> R:
        """What an awaitable, made in the agent's thread, comes to."""
        self._check_open()
        call = _InterruptibleCall(make)
        try:
            return self._portal.start_task_soon(call.run).result()
        except CancelledError:  # by `close`, in another thread
            raise _closed() from None
        except Exception:
            raise
        except BaseException:  # an interrupt of this thread, which may have come before there was a future to cancel
            with suppress(RuntimeError):  # closed
                self._portal.start_task_soon(call.stop)
            raise

    @contextmanager
    def _within(self, opening: AbstractAsyncContextManager[R]) -> Iterator[R]:
        self._check_open()
        context = self._portal.wrap_async_context_manager(opening)
        value = context.__enter__()
        try:
            yield value
        finally:
            # Not told of this thread's errors: an interrupt would end the event loop.
            if not self._closed:
                context.__exit__(None, None, None)

    def _check_open(self) -> None:
        check_process(self._process)
        if self._closed:
            raise _closed()


class _InterruptibleCall(Generic[R]):
    """A call that can be cancelled from the moment on in which it is made."""

    def __init__(self, make: Callable[[], Awaitable[R]]) -> None:
        self._make = make
        self._stopped = False
        self._scope: anyio.CancelScope | None = None

    async def run(self) -> R:
        with anyio.CancelScope() as self._scope:
            if not self._stopped:
                return await self._make()
        raise Cancelled("the call was interrupted")

    async def stop(self) -> None:
        """Cancel it; in its event loop."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()


class BlockingStream:
    """The pieces of an answer. Use in a `for` loop, or in a `with` as well where the loop may be left early."""

    def __init__(self, agent: BlockingAgent, prompt: Prompt, options: dict[str, Any]) -> None:
        self._agent, self._prompt, self._options = agent, prompt, options
        self._opened: AbstractContextManager[Stream] | None = None
        self._stream: Stream | None = None

    @property
    def reply(self) -> ChatReply:
        """The whole reply. Raises RuntimeError before the last piece was read."""
        if self._stream is None:
            raise RuntimeError("the stream has not begun yet; read all pieces first")
        return self._stream.reply

    def close(self) -> None:
        """Cancel what is not written yet."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.__exit__(None, None, None)

    def __iter__(self) -> Iterator[str]:
        if self._stream is None:
            self._open()
        stream = self._stream
        assert stream is not None
        try:
            while (piece := self._agent._await(lambda: _next(stream))) is not None:
                yield piece
        finally:
            self.close()

    def _open(self) -> None:
        opening = self._agent._within(self._agent.later.stream(self._prompt, **self._options))
        self._stream = opening.__enter__()
        self._opened = opening

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingConversation:
    """As `Conversation`, but its methods block."""

    def __init__(self, agent: BlockingAgent, system: str | None) -> None:
        self._agent = agent
        self._conversation: Conversation = agent.later.conversation(system)

    @property
    def messages(self) -> list[Message]:
        """The turns so far."""
        return self._conversation.messages

    def say(self, text: str, **options: Any) -> ChatReply:
        """The reply to the next question, which becomes part of the conversation; an error leaves that as it was."""
        return self._agent._await(lambda: self._conversation.say(text, **options))

    def ask(self, text: str, **options: Any) -> str:
        """As `say`, but the text alone, stripped."""
        return self._agent._await(lambda: self._conversation.ask(text, **options))


class BlockingGraph(Graph):
    """As `Graph`; `answer` is what `await` is there."""

    def __init__(self, agent: BlockingAgent) -> None:
        super().__init__(agent.later.port)
        self._agent = agent

    def answer(self, future: Future[T]) -> T:
        """What a call of the graph is answered with; all that are new are submitted."""
        return self._agent._await(lambda: future)

    def submit(self) -> dict[str, Outcome]:
        """As `run`, but it blocks."""
        return self._agent._await(self.run)


def _start_loop() -> tuple[BlockingPortal, Thread]:
    """An event loop in a thread of its own.

    Not anyio's `start_blocking_portal`: where that is collected it waits for the loop's end, which in a forked child,
    and while the interpreter ends, never comes.
    """
    started: ThreadFuture[BlockingPortal] = ThreadFuture()

    async def main() -> None:
        async with BlockingPortal() as portal:
            started.set_result(portal)
            await portal.sleep_until_stopped()

    thread = Thread(target=anyio.run, args=(main,), name="aios.connect_sync", daemon=True)
    thread.start()
    return started.result(), thread


def _closed() -> NoKernel:
    return NoKernel("the agent is closed; connect again: aios.connect_sync()")


async def _next(stream: Stream) -> str | None:
    return await anext(stream, None)


def connect_sync(
    name: str | None = None,
    root: str | os.PathLike[str] | None = None,
    model: str | None = None,
    budget: Budget | None = None,
    priority: int = 0,
    url: str | None = None,
    token: str | None = None,
    deadline_s: float | None = None,
) -> BlockingAgent:
    """As `aios.connect`, but the agent's methods block: `with aios.connect_sync() as agent: agent.ask(...)`."""
    options = {"budget": budget, "priority": priority, "deadline_s": deadline_s}
    return BlockingAgent(name=name, root=root, model=model, url=url, token=token, **options)
