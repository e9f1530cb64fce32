"""What a kernel learns of programs is there for the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aios.boot import boot, learnt_programs, memory
from aios.config import Config, RemoteModelConfig, SchedulerConfig
from aios_syscalls import Chat, Message
from tests.models.remote.fault_server import FaultServer, answer

pytestmark = pytest.mark.anyio
HELLO = Chat(messages=(Message(role="user", content="Hello"),))


async def runs(server: FaultServer, tmp_path: Path, scheduler: SchedulerConfig, **options: Any) -> None:
    far = RemoteModelConfig.model_validate({"kind": "openai", "base_url": server.url, "model": "m", "stream": False})
    config = Config(models={"far": far}, root=tmp_path, isolate=False, scheduler=scheduler)
    async with boot(config, directory=tmp_path / "run", **options) as run:
        for _ in range(3):
            await run.run.submit(HELLO)
    for file in (tmp_path / "run").iterdir():
        file.unlink()


async def test_runs_are_remembered_unless_they_are_not_to_be(tmp_path: Path) -> None:
    said = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
    with FaultServer([answer(200, said)]) as server:
        await runs(server, tmp_path, SchedulerConfig(remember=False))
        await runs(server, tmp_path, SchedulerConfig(), remember=False)
        assert not memory("scheduler").exists()
        await runs(server, tmp_path, SchedulerConfig())
        assert learnt_programs() == (3, 1, "")
        await runs(server, tmp_path, SchedulerConfig(policy="fair_gittins"))
        assert learnt_programs() == (6, 1, "")
