"""Eight agents at once, against the same eight in sequence and against llama-cpp-python's own class."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from aios.bench import Report, at_least
from aios.boot import make_models
from aios.config import Config
from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Run, by_family, lone_run
from aios.models.local.supervisor.client import LocalModel
from aios.python import code_command
from aios.record import SqliteJournal
from aios.scheduler import Fifo
from aios_syscalls import Chat, ChatReply, Message, ModelFailed

AGENTS = 8
SUBJECTS = ("a lighthouse", "a bakery", "the sea", "a clock", "an old bridge", "winter", "a library", "a train")


def main(quick: bool) -> Report:
    """Tokens a second of one GGUF, three ways, interleaved; the best of each way's rounds."""
    figures = anyio.run(_measure, 24 if quick else 64, 1 if quick else 3)
    return Report.of(
        "batching",
        figures,
        [at_least("batch8_vs_sequential", 1.8), at_least("batch8_vs_llama", 2.5)],
    )


async def _measure(tokens: int, rounds: int) -> dict[str, float]:
    (model,) = make_models(Config())
    assert isinstance(model, LocalModel)
    batch, sequence, default, tuned = [], [], [], []
    with tempfile.TemporaryDirectory() as directory:
        async with SqliteJournal(Path(directory) / "journal.db") as journal, model:
            lane = Lane("llm", LlmCore(model), Fifo(), model.slots, meter=ChatMeter())
            async with lone_run([lane], by_family, TaskHost(), journal) as kernel:
                await _at_once(kernel, _calls(4))  # warm
                for round in range(rounds):
                    # Other words each time, so that no way profits from what an earlier one has read.
                    batch.append(await _at_once(kernel, _calls(tokens, f"{round} b")))
                    sequence.append(await _in_sequence(kernel, _calls(tokens, f"{round} s")))
                    calls = _calls(tokens, f"{round} p")
                    default.append(await anyio.to_thread.run_sync(partial(_llama, model.file, calls, None)))
                    tuned.append(await anyio.to_thread.run_sync(partial(_llama, model.file, calls, os.cpu_count())))
    return {
        "batch8_tokens_per_s": max(batch),
        "sequential_tokens_per_s": max(sequence),
        "llama_tokens_per_s": max(default),
        "llama_all_cores_tokens_per_s": max(tuned),
        "batch8_vs_sequential": max(batch) / max(sequence),
        "batch8_vs_llama": max(batch) / max(default),
        "batch8_vs_llama_all_cores": max(batch) / max(tuned),
    }


def _calls(tokens: int, salt: str = "") -> list[Chat]:
    return [
        Chat(messages=(Message(role="user", content=f"{salt} Write a long story about {subject}."),), max_tokens=tokens)
        for subject in SUBJECTS
    ]


async def _at_once(kernel: Run, calls: list[Chat]) -> float:
    replies: list[ChatReply] = []

    async def one(call: Chat) -> None:
        replies.append(await kernel.submit(call))

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(one, call)
    return _rate(replies, began)


async def _in_sequence(kernel: Run, calls: list[Chat]) -> float:
    began = time.perf_counter()
    return _rate([await kernel.submit(call) for call in calls], began)


def _rate(replies: list[ChatReply], began: float) -> float:
    return sum(reply.usage.completion_tokens for reply in replies) / (time.perf_counter() - began)


PEER = """
import json, sys, time
from llama_cpp import Llama
job = json.load(sys.stdin)
llama = Llama(job["model"], n_ctx=2048, n_threads=job["threads"], verbose=False)
llama.create_chat_completion([{"role": "user", "content": "hello"}], max_tokens=4, temperature=0)
tokens, began = 0, time.perf_counter()
for prompt in job["prompts"]:
    messages = [{"role": "user", "content": prompt}]
    reply = llama.create_chat_completion(messages, max_tokens=job["tokens"], temperature=0)
    tokens += reply["usage"]["completion_tokens"]
print(tokens / (time.perf_counter() - began))
"""


def _llama(model: Path, calls: list[Chat], threads: int | None) -> float:
    """The peer's rate, in a process of its own; without `threads`, with those that it takes by default."""
    job = {
        "model": str(model),
        "threads": threads,
        "tokens": calls[0].max_tokens,
        "prompts": [call.messages[0].content for call in calls],
    }
    command = code_command(PEER)
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelFailed(f"the peer, llama_cpp.Llama, failed: {done.stderr.strip()[-300:]}")
    return float(done.stdout)
