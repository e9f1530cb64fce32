"""A daemon with a model that says on standard output when it begins and ends an answer without an end."""

from __future__ import annotations

from functools import partial

import anyio

from aios.config import Config
from aios.context import Snapshot
from aios.link.place import Place
from aios.models.base import NOBODY, Caller, Emit
from aios.server.daemon import Daemon
from aios_syscalls import Chat, ChatReply
from tests.server.connecting import TellingModel

say = partial(print, flush=True)


class PrintingModel(TellingModel):
    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        told = chat.messages[-1].content == "for ever"
        if told:
            say("begun")
        try:
            return await super().generate(chat, snapshot, budget, emit, caller)
        finally:
            if told:
                say("over")


def main() -> None:
    daemon = Daemon(Config(), Place.of_home(), models=[PrintingModel()])
    anyio.run(daemon.serve, partial(say, "listening"))


if __name__ == "__main__":
    main()
