"""The process that owns the model: `python -m aios.models.local.engine.worker FD MODEL`, FD a connected Unix socket.

Objects as JSON lines. It gets its settings first, says what memory it needs and waits until it may load; then it gets
commands: start, resume, drop, demote, stats. It answers with progress and ready or failed, then with what came of its
steps for each generation: at once when somebody reads along or a slice is over, else now and then; and within a long
step with a beat when that gets on. It ends when the socket does.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from pydantic_core import from_json

from aios.context import PrivateDirectory, Tiers
from aios.dumpable import set_dumpable
from aios.frames import send_blocking
from aios.models.local.engine.embedding import EmbeddingWorker
from aios.models.local.engine.engine import Engine, StepOutput
from aios.models.local.engine.generation import AnswerGrammar, Generation
from aios.models.local.engine.grammar import compile_grammar
from aios.models.local.engine.heartbeat import Heartbeat
from aios.models.local.engine.llama import LlamaModel, ModelShape, offloaded
from aios.models.local.engine.preparing import Bell, Preparing
from aios.models.local.engine.quantize import cache_directory, faster
from aios.models.local.engine.ranking import Known, Ranking, Scoring
from aios.models.local.engine.template import parse_tool_uses, template_of, without_half_a_call
from aios.models.local.engine.text import ShownText
from aios.models.local.engine.tool_calls import tool_call_grammar
from aios.models.local.engine.walled import close_in
from aios.models.local.file.memory import Needs
from aios_syscalls import AiosError, BadRequest, Chat, ChatReply, KernelBug, Rank, ToolUse, Usage

MAX_FRAME_BYTES = 32 * 1024 * 1024
REPORT_S = 0.25
"""How old news may become that nobody reads along: each frame wakes the kernel, which shares our cores."""
LONG = 20_000
"""Characters of messages that are made a prompt beside the loop, not on it."""
SWITCH_S = 0.001
"""How long a thread may keep the interpreter from the loop."""
REFILL_S = 0.002
"""How long to wait for the command that fills a place whose slice is over: a step with it empty is dearer."""


Prepared = tuple[list[int], AnswerGrammar | None]
"""A prompt's tagged, and what the answer must follow."""


class WorkerPipe:
    """The worker's end of the socket, without an event loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""
        self._sending = threading.Lock()
        self.bell = Bell()
        """Wakes a `receive` that waits, which then has nothing."""

    def send(self, frame: dict[str, Any]) -> None:
        """Send one object, from any thread; waits while the other side does not read."""
        with self._sending:
            send_blocking(self._sock, frame)

    def wait(self, seconds: float) -> bool:
        """Whether something came within some time."""
        return bool(select.select([self._sock], [], [], max(0.0, seconds))[0])

    def receive(self, wait: bool) -> Iterator[dict[str, Any]]:
        """The objects that have come, or else, with `wait`, the next ones, unless the bell rings.

        Raises EOFError at the end of the stream.
        """
        while self._readable(wait):
            data = self._sock.recv(1 << 20)
            if not data:
                raise EOFError
            *lines, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > MAX_FRAME_BYTES:
                raise EOFError
            yield from map(from_json, lines)
            wait = wait and not lines

    def _readable(self, wait: bool) -> bool:
        ready = select.select([self._sock.fileno(), self.bell.fileno()], [], [], None if wait else 0)[0]
        if self.bell.fileno() in ready:
            self.bell.silence()
        return self._sock.fileno() in ready


def load(pipe: WorkerPipe, settings: dict[str, Any]) -> tuple[LlamaModel, dict[str, Any]]:
    """The model, and what to say of its file. Raises ModelFailed when it does not load, BadRequest if it is no use."""

    def progress(what: str, share: float) -> None:
        pipe.send({"progress": [what, share]})

    path = Path(settings["path"])
    file, note = faster(path, progress) if settings["requantize"] else (path, "requantizing is off")
    gpu_layers = offloaded(settings["gpu_layers"])
    needs = Needs.of(file, settings["slots"], settings["context"], gpu_layers)
    pipe.send({"needs": needs.total})
    next(iter(pipe.receive(wait=True)))
    needs.check(psutil.virtual_memory().available)
    model = LlamaModel(file, lambda share: progress(f"loading {file.name}", share), gpu_layers=gpu_layers)
    if not (model.generates or settings["embed"]):
        hint = "configure it with embed = true, and beside it a model that generates"
        raise BadRequest(f"{path.name} is a model that only embeds texts; {hint}", "path")
    layers = {"layers": model.layers, "gpu_layers": min(gpu_layers, model.layers) if gpu_layers >= 0 else model.layers}
    return model, {"file": str(file), "note": note, **layers}


class EngineWorker:
    """One model, and the generations of one client. Raises ModelFailed or BadRequest for settings it cannot have."""

    def __init__(self, pipe: WorkerPipe, settings: dict[str, Any], model: LlamaModel, info: dict[str, Any]) -> None:
        self._pipe, self._model = pipe, model
        self._template = template_of(self._model)
        self._directory = PrivateDirectory(cache_directory() / "context")
        tiers = Tiers(settings["memory_bytes"], settings["disk_bytes"], self._directory.path)
        cores = _cores()
        exact = settings["mode"] == "exact"
        self._shape = ModelShape(settings["slots"], settings["context"], threads_batch=cores, exact=exact)
        self._engine = Engine(self._model, self._shape, tiers)
        self._chats: dict[int, Chat] = {}
        self._read_along: set[int] = set()
        self._news: dict[int, dict[str, Any]] = {}
        self._reported = time.monotonic()
        self._rankings: dict[int, Ranking] = {}
        self._known: Known = Known()
        self._jobs: dict[int, dict[str, Any]] = {}
        self._preparing = Preparing[Prepared](pipe.bell.ring, _discard)
        self._info = {
            **info,
            "mode": settings["mode"],
            "exact": exact and self._engine.exact(),
            "template": self._template.described,
            "threads": {"one": self._engine.tune(), "batch": cores},
            "trained_context": self._model.trained_context,
        }

    def serve(self) -> None:
        """Obey until the socket is closed."""
        self._pipe.send({"ready": self._info})
        try:
            while True:
                # Before each wait: the bell may have rung where only commands were waited for.
                self._begin_ready()
                for command in self._pipe.receive(wait=not self._engine.busy):
                    self._obey(command)
                if self._engine.busy:
                    self._refill(self._report(self._engine.step()))
        except (EOFError, ConnectionError):
            pass
        finally:
            self._preparing.close()
            self._engine.close()
            self._directory.close()

    def _report(self, outputs: list[StepOutput]) -> int:
        """Tell what came of a step, or keep it for later; how many slices are over."""
        for output in outputs:
            result = self._result(output)
            if earlier := self._news.get(output.generation.id):
                result["tokens"] = [*earlier["tokens"], *result["tokens"]]
                result["text"] = earlier["text"] + result["text"]
            self._news[output.generation.id] = result
        over = sum("end" in result for result in self._news.values())
        now = time.monotonic()
        if over or now - self._reported > REPORT_S or not self._read_along.isdisjoint(self._news):
            self._pipe.send({"step": list(self._news.values())})
            self._news, self._reported = {}, now
        return over

    def _refill(self, places: int) -> None:
        deadline = time.monotonic() + REFILL_S
        while places > 0 and self._pipe.wait(deadline - time.monotonic()):
            for command in self._pipe.receive(wait=False):
                self._obey(command)
                places -= 1

    def _obey(self, command: dict[str, Any]) -> None:
        match command:
            case {"start": {"id": int(id)} as job}:
                self._try(id, lambda: self._start(id, job))
            case {"resume": {"id": int(id), "budget": budget, "stream": stream}}:
                generation = self._engine.paused(id)
                if generation is None:
                    self._refuse(id, KernelBug(f"generation {id} is not paused here"))
                else:
                    self._run(generation, budget, stream)
            case {"drop": int(id)}:
                self._engine.drop(id)
                self._preparing.drop(id)
                self._jobs.pop(id, None)
                self._forget(id)
                self._news.pop(id, None)
                self._rankings.pop(id, None)
            case {"demote": int(pid)}:
                self._engine.demote(pid)
            case {"stats": int(id)}:
                rss = psutil.Process().memory_info().rss
                statistics = {**self._info, **self._engine.statistics(), "rss_bytes": rss}
                self._pipe.send({"step": [{"id": id, "tokens": [], "text": "", "end": {"stats": statistics}}]})
            case _:
                raise ValueError(f"unknown command {list(command)}")

    def _start(self, id: int, job: dict[str, Any]) -> None:
        if "rank" in job:
            call = Rank.model_validate(job["rank"])
            ranking = Ranking(id, self._model, self._template, call, self._shape.context, self._known)
            self._engine.run(next(ranking.jobs), None)
            self._rankings[id] = ranking
            return
        chat = Chat.model_validate(job["chat"])
        self._chats[id] = chat
        if _is_light(chat):
            self._begin(id, job, (self._prompt(chat), None))
        else:
            self._jobs[id] = job
            self._preparing.begin(id, lambda: (self._prompt(chat), self._grammar(chat)))

    def _grammar(self, chat: Chat) -> AnswerGrammar | None:
        """What the chat's answer must follow; of one that may call tools, what its calls must. Raises BadRequest."""
        found = compile_grammar(self._model, chat)
        if found is not None or not _may_call(chat):
            return found
        return tool_call_grammar(self._model, chat.tools, parallel=chat.parallel_tool_calls)

    def _begin_ready(self) -> None:
        for id, future in self._preparing.ready():
            job = self._jobs.pop(id)
            self._try(id, partial(self._begin_prepared, id, job, future))

    def _begin_prepared(self, id: int, job: dict[str, Any], prepared: Future[Prepared]) -> None:
        self._begin(id, job, prepared.result())

    def _begin(self, id: int, job: dict[str, Any], prepared: Prepared) -> None:
        prompt, grammar = prepared
        chat = self._chats[id]
        generation = Generation(
            id,
            self._model,
            prompt,
            chat.sampling,
            room=self._shape.context,
            max_tokens=chat.max_tokens,
            seed=job["seed"],
            text=ShownText(chat.stop, tools=_may_call(chat)),
            grammar=grammar,
            generated=job["tokens"],
            salt=chat.cache_salt,
            exact=self._shape.exact,
            pid=job["pid"],
        )
        self._run(generation, job["budget"], job["stream"])

    def _try(self, id: int, begin: Callable[[], None]) -> None:
        """Whatever is wrong with one chat must not end those of others."""
        try:
            begin()
        except AiosError as error:
            self._fail(id, error)
        except Exception as error:
            self._fail(id, KernelBug(f"could not start a generation: {type(error).__name__}: {error}"))

    def _fail(self, id: int, error: AiosError) -> None:
        self._forget(id)
        self._refuse(id, error)

    def _run(self, generation: Generation, budget: int | None, stream: bool) -> None:
        self._engine.run(generation, budget)
        (self._read_along.add if stream else self._read_along.discard)(generation.id)

    def _forget(self, id: int) -> None:
        self._chats.pop(id, None)
        self._read_along.discard(id)

    def _prompt(self, chat: Chat) -> list[int]:
        """The tagged of a chat that fit into a slot. Raises BadRequest if they do not."""
        room = self._shape.context
        to_tagged = self._template.tagged if self._shape.exact else self._template.tokens
        tokens = to_tagged(chat)
        while chat.truncate and len(tokens) + min(chat.max_tokens, room // 2) > room:
            shorter = _without_oldest(chat)
            if shorter is None:
                break
            chat, tokens = shorter, to_tagged(shorter)
        if len(tokens) >= room:
            last = "even its last message alone" if chat.truncate else "the prompt"
            raise BadRequest(
                f"{last} has {len(tokens)} tokens and a slot holds {room}; "
                "shorten the messages or configure a longer context",
                "messages",
                reason="context_length",
            )
        return tokens

    def _refuse(self, id: int, error: AiosError) -> None:
        self._pipe.send({"step": [{"id": id, "tokens": [], "text": "", "end": {"error": error.to_wire()}}]})

    def _result(self, output: StepOutput) -> dict[str, Any]:
        """What came of a step for a generation, as it goes over the socket."""
        generation, text = output.generation, output.text
        end: dict[str, Any] | None = None
        if output.paused:
            end = {"paused": True}
        elif isinstance(output.end, AiosError):
            end = {"error": output.end.to_wire()}
        elif isinstance(generation, Scoring):
            end = self._scored(generation.id)
        elif output.end:
            reply = self._reply(output)
            text += reply.text.removeprefix(generation.text.shown)
            end = {"reply": reply}
        if output.end:
            self._forget(generation.id)
        if end:
            self._rankings.pop(generation.id, None)
        return {"id": generation.id, "tokens": output.tokens, "text": text} | ({"end": end} if end else {})

    def _scored(self, id: int) -> dict[str, Any] | None:
        """Begin the next prompt of a ranking; or else the end that it has."""
        ranking = self._rankings[id]
        job = next(ranking.jobs, None)
        if job is None:
            return {"reply": ranking.reply()}
        self._engine.run(job, None)
        return None

    def _reply(self, output: StepOutput) -> ChatReply:
        generation, chat = output.generation, self._chats[output.generation.id]
        text, uses = generation.text.value, list[ToolUse]()
        if _may_call(chat):
            text = without_half_a_call(text) if output.end == "length" else text
            text, uses = parse_tool_uses(text, chat.tools)
        assert output.end in ("stop", "length")
        return ChatReply(
            text=text,
            tool_uses=tuple(uses),
            finish="tool_use" if uses else output.end,
            mode="exact" if self._info["exact"] else "throughput",
            usage=Usage(
                prompt_tokens=generation.start,
                completion_tokens=len(generation.generated),
                cached_tokens=generation.cached,
            ),
        )


def _without_oldest(chat: Chat) -> Chat | None:
    """The chat without its oldest turn; None when only system messages and the last one are left.

    What answers a message, a reply or a tool's result, goes with it.
    """
    messages = chat.messages
    start = next((at for at, each in enumerate(messages) if each.role != "system"), len(messages))
    end = next((at for at in range(start + 1, len(messages)) if messages[at].role == "user"), len(messages))
    return chat.model_copy(update={"messages": messages[:start] + messages[end:]}) if end < len(messages) else None


def _is_light(chat: Chat) -> bool:
    """Whether a chat is made ready in no time: without a grammar, and with messages that are read in a moment."""
    bound = chat.response_schema is not None or chat.grammar is not None or _may_call(chat)
    return not bound and sum(len(message.content) for message in chat.messages) < LONG


def _discard(prepared: Prepared) -> None:
    _prompt, grammar = prepared
    if grammar:
        grammar.close()


def _may_call(chat: Chat) -> bool:
    return bool(chat.tools) and chat.tool_choice != "none"


def _cores() -> int:
    """Cores that this process may use, without their second threads."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, psutil.cpu_count(logical=False) or allowed)


def main() -> int:
    set_dumpable(False)
    close_in(Path(sys.argv[2]))
    sys.setswitchinterval(SWITCH_S)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's; it closes the socket
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        pipe = WorkerPipe(sock)
        try:
            settings = next(iter(pipe.receive(wait=True)))
            heart = Heartbeat(settings["heartbeat_s"], lambda: pipe.send({"beat": True}))
            model, info = load(pipe, settings)
            worker: EngineWorker | EmbeddingWorker
            if settings["embed"]:
                worker = EmbeddingWorker(pipe, model, settings["context"], _cores(), info)
            else:
                worker = EngineWorker(pipe, settings, model, info)
        except (EOFError, ConnectionError):
            return 0
        except AiosError as error:
            pipe.send({"failed": error.to_wire()})
            return 1
        worker.serve()
        heart.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
