"""What the worker and the kernel take, and whether that grows from request to request."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import anyio
import psutil

from aios.bench.llm.ours import kernel_over, loaded, say
from aios.bench.llm.workload import chats
from aios.kernel import Run
from aios.models.local.file.memory import MEBIBYTE, Needs
from aios.models.local.supervisor.client import LocalModel

SLOTS, CONTEXT, CLIENTS, TOKENS = 8, 512, 16, 3
WARM = 200
"""Requests after which buffers have the size that they keep."""


async def measure(file: Path, requests: int) -> dict[str, float | None]:
    """Figures, in MiB: memory beside weights, KV cache and what is kept of prompts; and how it grew over requests."""
    needs = Needs.of(file, SLOTS, CONTEXT)
    # What is kept of prompts in memory fills up first, and is bounded: a small bound is full from the beginning.
    async with loaded(file, SLOTS, CONTEXT, memory_bytes=64 * MEBIBYTE, disk_bytes=0) as model:
        async with kernel_over(model) as kernel:
            numbers = count()
            await _ask(kernel, numbers, WARM)
            begin = await _taken(model)
            say(f"{requests} requests, for the memory that they take")
            await _ask(kernel, numbers, requests)
            end = await _taken(model)
    return {
        "memory_growth_mb": (end - begin) / MEBIBYTE,
        "memory_beside_model_mb": (end - needs.weights - needs.cache) / MEBIBYTE,
    }


async def _ask(kernel: Run, numbers: count[int], requests: int) -> None:
    """Different short requests, several at a time."""
    left = requests

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            (chat,) = chats(next(numbers), 1, TOKENS, "Answer briefly.")
            await kernel.submit(chat)

    async with anyio.create_task_group() as tasks:
        for _ in range(CLIENTS):
            tasks.start_soon(client)


async def _taken(model: LocalModel) -> int:
    """Bytes that this process and the worker have in memory, without the states that are kept on purpose."""
    kept = (await model.stats())["memory_bytes"]
    return int(psutil.Process(model.pid).memory_info().rss + psutil.Process().memory_info().rss - kept)
