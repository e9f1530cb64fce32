"""The servers that are measured, each in a process: `python -m aios.bench.http.server PORT_FILE daemon|bare`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from typing_extensions import TypedDict

from aios.bench.http.wires import BODIES, TEXT, events
from aios.config import Config
from aios.link.place import Place
from aios.models.scripted import ScriptedModel
from aios.server.daemon import Daemon
from aios.server.listener import bind, url_of


class _Message(TypedDict):
    role: str
    content: str


class _Body(TypedDict):
    model: str
    messages: list[_Message]
    max_tokens: int


BODY = TypeAdapter(_Body)


def _bare_app(answers: dict[str, bytes]) -> Starlette:
    """Routes that check the body and return what the daemon returned for it."""

    async def whole(request: Request) -> Response:
        BODY.validate_json(await request.body())
        return Response(answers[request.url.path], media_type="application/json")

    async def streamed(request: Request) -> Response:
        BODY.validate_json(await request.body())

        async def pieces() -> AsyncIterator[bytes]:
            for event in events():
                yield event
                await anyio.lowlevel.checkpoint()

        return StreamingResponse(pieces(), media_type="text/event-stream")

    paths = [Route(path, whole, methods=["POST"]) for path in BODIES]
    return Starlette(routes=[*paths, Route("/stream", streamed, methods=["POST"])])


async def _bare(told: Path, answers: dict[str, bytes]) -> None:
    sock = bind("127.0.0.1", 0)
    told.write_text(url_of(sock))  # noqa: ASYNC240 - before anything is served
    config = uvicorn.Config(_bare_app(answers), lifespan="off", log_config=None, access_log=False)
    await uvicorn.Server(config).serve([sock])


async def _daemon(told: Path) -> None:
    model = ScriptedModel(lambda chat: TEXT if chat.max_tokens > 8 else "ok", record=0, slots=64)
    daemon = Daemon(Config(), Place.of_home(), models=[model])

    async def tell() -> None:
        told.write_text(await daemon.listen())  # noqa: ASYNC240 - before anything is served

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        await daemon.serve()
        tasks.cancel_scope.cancel()


def main() -> None:
    """Serve until SIGTERM; the URL goes to PORT_FILE."""
    told, kind = Path(sys.argv[1]), sys.argv[2]
    if kind == "daemon":
        anyio.run(_daemon, told)
        return
    answers: dict[str, Any] = TypeAdapter(dict[str, str]).validate_json(Path(sys.argv[3]).read_bytes())
    anyio.run(_bare, told, {path: text.encode() for path, text in answers.items()})


if __name__ == "__main__":
    main()
