"""What the HTTP application needs of the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aios_syscalls import AiosError, Chat
from aios_syscalls.port import Port


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token is of."""

    name: str


@dataclass(frozen=True, slots=True)
class ClientKey:
    """Which session of which client a request is of; see wires."""

    program: str
    session: str = ""
    agent: str = ""
    beginning: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that calls can name."""

    name: str
    kind: Literal["chat", "embed"] = "chat"
    context: int | None = None
    images: bool = False


class Door(Protocol):
    """The way in for HTTP clients."""

    def admit(self, secret: str) -> Principal | None: ...

    def models(self) -> Sequence[ModelInfo]: ...

    async def caller(self, principal: Principal, client: ClientKey) -> Port: ...

    async def count_tokens(self, chat: Chat) -> int | None: ...

    def refusal(self, chat: Chat) -> AiosError | None: ...
