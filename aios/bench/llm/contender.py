"""A peer in a process of its own, run by path in the peer's environment: so nothing of ours is imported at the top.

    python contender.py llama | xllamacpp | bare
    python contender.py example SCRIPT ARGUMENTS

The first line of stdin is the settings, each further one a job; each is answered by one line, all JSON. The example
server has its own arguments and is asked over HTTP.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import runpy
import sys
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Job = dict[str, Any]


def llama(settings: Job) -> Callable[[Job], Job]:
    """llama-cpp-python's own class, one call at a time; with `again` each call reads its whole prompt."""
    from llama_cpp import Llama

    threads = settings["threads"]
    model = Llama(
        settings["model"], n_ctx=settings["context"], n_threads=threads, n_threads_batch=threads, verbose=False
    )

    def chat(messages: list[Job], tokens: int, again: bool) -> Job:
        if again:
            model.reset()
        reply: Job = model.create_chat_completion(messages, max_tokens=tokens, temperature=0)
        return reply

    def answer(job: Job) -> Job:
        tokens, calls, began = 0, 0, time.perf_counter()
        for script in job["scripts"]:
            messages = list(script["opening"])
            for said in script["says"]:
                messages.append({"role": "user", "content": said})
                reply = chat(messages, script["tokens"], job["again"])
                messages.append(reply["choices"][0]["message"])
                tokens, calls = tokens + reply["usage"]["completion_tokens"], calls + 1
        return {"tokens": tokens, "calls": calls, "seconds": time.perf_counter() - began}

    return answer


def xllamacpp(settings: Job) -> Callable[[Job], Job]:
    """llama.cpp's own server in this process, asked from threads without HTTP."""
    import xllamacpp as x

    parameters = x.CommonParams()
    parameters.model.path = settings["model"]
    parameters.n_parallel = settings["slots"]
    parameters.n_ctx = settings["slots"] * settings["context"]
    parameters.cont_batching = parameters.cache_prompt = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = settings["threads"]
    parameters.verbosity = 0
    server = x.Server(parameters)

    def client(chats: list[Job]) -> int:
        asked = [{"temperature": 0, "cache_prompt": True, **chat} for chat in chats]
        return sum(server.handle_chat_completions(each)["usage"]["completion_tokens"] for each in asked)

    def answer(job: Job) -> Job:
        with ThreadPoolExecutor(len(job["clients"])) as threads:
            began = time.perf_counter()
            tokens = sum(threads.map(client, job["clients"]))
            return {"tokens": tokens, "seconds": time.perf_counter() - began}

    return answer


class PeerBatch:
    """A llama.cpp context and the least that steps sequences together in it: numbers in, the likeliest tokens out.

    Separate caches and no flash attention, as the engine has, so that what differs is the engine's own work.
    """

    def __init__(self, model: Any, slots: int, context: int, threads: int, lone: int) -> None:
        import numpy
        from llama_cpp import llama_cpp

        self._c, self._np = llama_cpp, numpy
        parameters = self._c.llama_context_default_params()
        parameters.n_ctx, parameters.n_seq_max = slots * context, slots
        parameters.n_batch = parameters.n_ubatch = self._room = 512
        parameters.n_threads, parameters.n_threads_batch = lone, threads
        parameters.kv_unified, parameters.no_perf = False, True
        parameters.flash_attn_type = self._c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._parameters, self._context = parameters, self._c.llama_init_from_model(model.handle, parameters)
        self._vocabulary: int = model.vocabulary_size
        self._batch = self._c.llama_batch_init(self._room, 0, 1)

    def decode(self, rows: list[tuple[int, int, int, bool]]) -> list[int]:
        """Compute (token, position, sequence, wanted) rows; the likeliest token after each that is wanted."""
        for at, (token, position, sequence, wanted) in enumerate(rows):
            self._batch.token[at], self._batch.pos[at], self._batch.logits[at] = token, position, wanted
            self._batch.n_seq_id[at], self._batch.seq_id[at][0] = 1, sequence
        self._batch.n_tokens = len(rows)
        if status := self._c.llama_decode(self._context, self._batch):
            raise RuntimeError(f"llama.cpp refused {len(rows)} tokens: {status}")
        count = sum(row[3] for row in rows)
        address = ctypes.cast(self._c.llama_get_logits(self._context), ctypes.c_void_p).value if count else 0
        if not address:
            return []
        floats = (ctypes.c_float * (count * self._vocabulary)).from_address(address)
        logits = self._np.ctypeslib.as_array(floats).reshape(count, -1)
        return [int(token) for token in logits.argmax(axis=1)]

    def read(self, sequence: int, prompt: list[int], chunk: int) -> Iterator[list[int]]:
        """Read a prompt piece by piece; the token that follows comes with the last one."""
        for begin in range(0, len(prompt), chunk):
            piece = range(begin, min(begin + chunk, len(prompt)))
            yield self.decode([(prompt[at], at, sequence, at == len(prompt) - 1) for at in piece])

    def forget(self) -> None:
        """Empty all caches."""
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), False)


def bare(settings: Job) -> Callable[[Job], Job]:
    """A loop over llama.cpp and nothing else: what an engine can reach at best. Runs in our own environment."""
    from pathlib import Path

    from aios.models.local.engine.llama import LlamaModel
    from aios.models.local.engine.template import Template
    from aios_syscalls import Chat

    model, threads = LlamaModel(Path(settings["model"])), settings["threads"]
    template = Template(model)
    batch = PeerBatch(model, settings["slots"], settings["context"], threads, settings.get("lone") or threads)

    def answer(job: Job) -> Job:
        batch.forget()
        prompts = [template.tokens(Chat.model_validate(chat)) for chat in job["chats"]]
        last = [list(batch.read(number, prompt, 256))[-1][0] for number, prompt in enumerate(prompts)]
        at = [len(prompt) for prompt in prompts]

        def step() -> None:
            rows = [(token, at[number], number, True) for number, token in enumerate(last)]
            last[:] = batch.decode(rows)
            at[:] = [position + 1 for position in at]

        def timed(work: Callable[[], Any]) -> float:
            began = time.perf_counter()
            work()
            return time.perf_counter() - began

        if "long" in job:
            prompt = template.tokens(Chat.model_validate(job["long"]))
            pieces = batch.read(len(prompts), prompt, job["chunk"])
            return {"steps": [timed(lambda: next(pieces)) + timed(step) for _ in range(len(prompt) // job["chunk"])]}
        depth = sum(at) / len(at)
        return {"depth": depth, "steps": [timed(step) for _ in range(job["steps"])]}

    return answer


def example(script: str, *arguments: str) -> None:
    """llama-cpp-python's example server, on an engine that may be built without the part for images and sound.

    It imports that part always and uses it only for models that have one.
    """
    name = "llama_cpp.mtmd_cpp"
    try:
        importlib.import_module(name)
    except FileNotFoundError:
        sys.modules[name] = types.ModuleType(name)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def main() -> None:
    """Answer jobs until stdin ends. Libraries may print: their stdout is our stderr."""
    if sys.argv[1] == "example":
        return example(*sys.argv[2:])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines = iter(sys.stdin)
    answer = {"llama": llama, "xllamacpp": xllamacpp, "bare": bare}[sys.argv[1]](json.loads(next(lines)))
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in lines:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
