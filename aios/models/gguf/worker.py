"""The worker process: one engine, served over one socket. Ends when the socket does.

In: {start: id, chat, seed, done: [tokens so far], budget}, {resume: id, budget}, {drop: id}, {stats: id}.
Out: {loading: what, share} until {ready: facts} or {failed: error}; then a frame a step, {events: [...]}, of
{id, text}, {id, paused: [new tokens]}, {id, done: reply}, {id, error}; and {id, stats}.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aios.context.store import StateStore
from aios.models.gguf.engine import Engine, Generation, Output
from aios.models.gguf.grammar import Grammar
from aios.models.gguf.llama import LlamaModel
from aios.models.gguf.quantize import faster_copy
from aios.models.gguf.template import ChatTemplate, find_calls, forced_call
from aios.models.gguf.text import TextOut
from aios_syscalls import AiosError, BadRequest, Chat, ChatReply, Usage
from aios_syscalls.wire import call_from_object


class Channel:
    """JSON lines over a socket, from a thread that must not wait unless it has nothing to do."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""

    def receive(self, *, wait: bool) -> Iterator[dict[str, Any]]:
        """The frames that are there, or with `wait` at least one. Raises EOFError when the other side is gone."""
        while select.select([self._socket], [], [], None if wait else 0)[0]:
            data = self._socket.recv(1 << 20)
            if not data:
                raise EOFError
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            yield from map(json.loads, lines)
            wait = wait and not lines

    def send(self, frame: dict[str, Any]) -> None:
        """Send one object."""
        self._socket.sendall(json.dumps(frame).encode() + b"\n")


class Worker:
    """Turns frames into generations and the engine's outputs into frames."""

    def __init__(self, channel: Channel, model: LlamaModel, engine: Engine) -> None:
        self._channel = channel
        self._model = model
        self._engine = engine
        self._template = ChatTemplate(model)
        self._calls: dict[int, tuple[Generation, Chat]] = {}
        self._told: dict[int, int] = {}

    @property
    def facts(self) -> dict[str, Any]:
        """What the client should know of the model."""
        return {
            "trained_context": self._model.trained_context,
            "limit": self._engine.limit,
            "chat_template": self._template.builtin,
        }

    def serve(self) -> None:
        """Work until the socket closes."""
        while True:
            for frame in self._channel.receive(wait=not self._engine.busy):
                self._obey(frame)
            if self._engine.busy:
                self._channel.send({"events": [self._event(output) for output in self._engine.step()]})

    def _obey(self, frame: dict[str, Any]) -> None:
        try:
            if "start" in frame:
                self._start(frame)
            elif "resume" in frame:
                self._engine.run(self._calls[frame["resume"]][0], frame["budget"])
            elif "drop" in frame:
                self._forget(frame["drop"])
            else:
                self._channel.send({"id": frame["stats"], "stats": self._engine.stats()})
        except AiosError as error:
            id = frame.get("start", frame.get("resume"))
            self._channel.send({"events": [{"id": id, "error": error.to_wire()}]})

    def _start(self, frame: dict[str, Any]) -> None:
        chat = call_from_object(frame["chat"])
        assert isinstance(chat, Chat)
        prompt = self._template.tokens(chat)
        limit = self._engine.limit
        if len(prompt) >= limit:
            raise BadRequest(
                f"the prompt has {len(prompt)} tokens and a slot holds {limit}; shorten it, or raise `context`",
                "messages",
            )
        schema = chat.response_schema
        if chat.tools and chat.tool_choice == "required":
            schema = forced_call(chat.tools)
        grammar = Grammar(self._model, schema) if schema is not None else None
        generation = Generation(
            frame["start"],
            prompt,
            chat.sampling,
            frame["seed"],
            TextOut(chat.stop),
            chat.max_tokens,
            grammar,
            tokens=frame["done"],
        )
        text = "".join(generation.text.add(self._model.piece(token)) for token in frame["done"])
        if grammar:
            for token in frame["done"]:
                grammar.accept(token)
        if text:
            self._channel.send({"events": [{"id": generation.id, "text": text}]})
        self._calls[generation.id] = generation, chat
        self._told[generation.id] = generation.generated
        self._engine.run(generation, frame["budget"])

    def _event(self, output: Output) -> dict[str, Any]:
        generation, id = output.generation, output.generation.id
        event: dict[str, Any] = {"id": id}
        if output.text:
            event["text"] = output.text
        if output.ended == "paused":
            event["paused"] = generation.tokens[len(generation.prompt) + self._told[id] :]
            self._told[id] = generation.generated
        elif output.ended:
            event["done"] = self._reply(generation, self._calls[id][1], output.ended)
            self._forget(id)
        return event

    def _reply(self, generation: Generation, chat: Chat, finish: str) -> dict[str, Any]:
        text, uses = find_calls(generation.text.text, chat)
        usage = Usage(prompt_tokens=len(generation.prompt), completion_tokens=generation.generated)
        why: Any = "tool_use" if uses else finish
        return ChatReply(text=text, tool_uses=uses, finish=why, usage=usage).model_dump(mode="json")

    def _forget(self, id: int) -> None:
        if entry := self._calls.pop(id, None):
            self._engine.drop(entry[0])
            del self._told[id]


def main(channel: Channel, order: dict[str, Any]) -> None:
    """Load what the order names, then serve. A model that does not load is a frame, not a traceback."""

    def loading(what: str, share: float) -> None:
        channel.send({"loading": what, "share": round(share, 3)})

    scratch = Path(order["scratch"])
    try:
        path = Path(order["path"])
        if order["requantize"] and path.is_file():
            path = faster_copy(path, Path(order["cache"]), lambda share: loading("requantizing", share))
        model = LlamaModel(path, lambda share: loading("loading", share))
        if order["context"] > model.trained_context > 0:
            raise BadRequest(
                f"a context of {order['context']} tokens is more than the {model.trained_context} that {path.name} "
                "was trained on; lower the model's `context`",
                "context",
            )
        store = StateStore(scratch, order["memory_bytes"], order["disk_bytes"])
        engine = Engine(model, order["slots"], order["context"], order["threads"], store)
        worker = Worker(channel, model, engine)
    except AiosError as error:
        channel.send({"failed": error.to_wire()})
        return
    channel.send({"ready": worker.facts | {"file": str(path)}})
    try:
        worker.serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    main(channel, next(channel.receive(wait=True)))
    # Not through the interpreter's end: llama.cpp's destructors would free hundreds of megabytes piece by piece.
    sys.stdout.flush()
    os._exit(0)
