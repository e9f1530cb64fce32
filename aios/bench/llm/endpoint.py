"""An OpenAI-compatible chat endpoint over a kernel, so that servers are compared over HTTP: no product's server.

`python -m aios.bench.llm.endpoint MODEL SLOTS CONTEXT` prints its port when it is ready and serves until it is told to
terminate.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import anyio
import uvicorn

from aios.bench.llm.ours import kernel_over, loaded
from aios.kernel import Run
from aios_syscalls import AiosError, Chat, Message

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class BenchEndpoint:
    """`POST /v1/chat/completions` as an ASGI application, without streaming."""

    def __init__(self, kernel: Run) -> None:
        self._kernel = kernel

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body, more = body + event.get("body", b""), event.get("more_body", False)
        try:
            status, answer = 200, await self._answer(json.loads(body))
        except AiosError as error:
            status, answer = 500, {"error": error.to_wire()}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        messages = tuple(Message.model_validate(message) for message in request["messages"])
        reply = await self._kernel.submit(Chat(messages=messages, max_tokens=request["max_tokens"]))
        message = {"role": "assistant", "content": reply.text}
        return {
            "object": "chat.completion",
            "model": reply.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
            "usage": reply.usage.model_dump(),
        }


async def serve(model: Path, slots: int, context: int) -> None:
    """Serve a model on a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with loaded(model, slots, context) as local, kernel_over(local) as kernel:
            settings = uvicorn.Config(BenchEndpoint(kernel), log_level="error", lifespan="off")
            print(sock.getsockname()[1], flush=True)
            await uvicorn.Server(settings).serve([sock])


if __name__ == "__main__":
    anyio.run(serve, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
