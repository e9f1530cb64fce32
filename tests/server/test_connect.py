"""`aios.connect` over the daemon's socket: the same agent in any process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from connecting import control, daemon_here

import aios
from aios.models.scripted import ScriptedModel
from aios_syscalls import Budget, Chat

pytestmark = pytest.mark.anyio


def reply(chat: Chat) -> str:
    said = chat.messages[-1].content
    return "tick " * 100_000 if said == "for ever" else f"you said {said}"


async def test_a_connected_script_asks_the_daemons_model_and_keeps_files_in_its_root(tmp_path: Path) -> None:
    async with daemon_here(ScriptedModel(reply)):
        async with aios.connect("my-script", root=tmp_path) as agent:
            assert await agent.ask("hello") == "you said hello"
            await agent.write("note.txt", "kept")
            (row,) = await agent.ps()
            assert (row.pid, row.program) == (agent.pid, "my-script")
    assert (tmp_path / "note.txt").read_text() == "kept"
