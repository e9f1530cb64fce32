"""What the HTTP wires need of the kernel: who may come in, which models there are, and a way in for each client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aios_syscalls import AiosError, Cancelled, Chat, Embed
from aios_syscalls.port import Port

ModelKind = Literal["chat", "embed"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token stands for."""

    name: str


@dataclass(frozen=True, slots=True)
class ClientKey:
    """Which session of which client a request belongs to; each is a process of its own."""

    program: str
    """The client's name, from its user agent."""
    session: str = ""
    """The client's own id of the session, where it sends one."""
    agent: str = ""
    """The id of the sub-agent within the session: a child of the session's process."""
    beginning: str = ""
    """A hash of the conversation's beginning, where there is no session id."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as clients see it."""

    name: str
    kind: ModelKind = "chat"
    context: int | None = None
    """Tokens that a prompt and its answer may have together; None: not known."""
    takes: frozenset[Literal["image", "file"]] = frozenset()
    """Parts of messages that it takes beside text."""
    created: int = 0
    """Seconds since 1970, of the file or the start of the kernel."""


class ClientPort(Port, Protocol):
    """The way in for one client's process."""

    def next_call(self) -> str:
        """What `ChatReply.call` will be of a call that is submitted before anything is awaited; empty: not known."""

    def refusal(self, call: Chat | Embed) -> AiosError | None:
        """What the kernel would refuse `call` with if it came now: the budget is spent, the queue is full."""


class Door(Protocol):
    """What the HTTP application needs of the kernel. Nothing here waits for a model."""

    def admit(self, secret: str) -> Principal | None:
        """Who the token is of; None if it is none."""

    def models(self) -> Sequence[ModelInfo]:
        """Every model that clients may name."""

    def resolve(self, model: str, kind: ModelKind) -> ModelInfo | None:
        """The model for a name that a client sends: its own, an alias's, or the default; None: the router chooses."""

    async def caller(self, principal: Principal, client: ClientKey) -> ClientPort:
        """The process of a client's session, made if there is none.

        Raises Cancelled (see `killed`) when the session was killed, Overloaded when there are too many.
        """

    async def count_tokens(self, chat: Chat) -> int | None:
        """Tokens of the prompt that `chat` becomes, by a tokenizer of its own; None: not known."""


def killed(message: str) -> Cancelled:
    """The error of a session that was killed: its client is to stop, not to try again."""
    return Cancelled(message, killed=True)


def was_killed(error: AiosError) -> bool:
    """Whether a call ended because somebody killed its process."""
    return isinstance(error, Cancelled) and (bool(error.data.get("killed")) or "killed" in error.message)
