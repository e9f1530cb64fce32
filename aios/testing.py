"""Testing agents without a model: the real kernel, in process, over the scripted model.

async def test_it_summarises() -> None:
    model = ScriptedModel(["A summary."])
    result = await run_agent("my_agent.py", "a.txt", replies=model, files={"a.txt": "Once upon a time."})
    assert result == "a.txt: A summary."
    assert "Once upon a time" in model.calls[0].messages[0].content

For tests of what a kernel does, `MemoryJournal` keeps its events, and in `run_in_virtual_time` seconds pass at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from aios.boot import boot
from aios.config import Config
from aios.hosts import Main
from aios.models.scripted import Script, ScriptedModel
from aios.record import MemoryJournal
from aios.sdk import Agent
from aios.simulate.clock import run as run_in_virtual_time

__all__ = ["MemoryJournal", "ScriptedModel", "run_agent", "run_in_virtual_time"]


async def run_agent(
    program: str | Path | Main,
    task: str = "",
    *,
    replies: Script | Iterable[Script] | ScriptedModel = (),
    files: Mapping[str, str | bytes] | None = None,
    root: Path | None = None,
) -> str:
    """The result of a program, given by name, path or `main` function, whose model answers with `replies`, in order.

    `files` are put into `root`, a temporary directory if none is given; a given one keeps what the agent writes. No
    trace of the run is left. Raises AgentFailed when the agent fails.
    """
    with tempfile.TemporaryDirectory(prefix="aios-test-") as scratch:
        place = root or Path(scratch, "files")
        for path, content in (files or {}).items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content.encode() if isinstance(content, str) else content)
        place.mkdir(parents=True, exist_ok=True)
        model = replies if isinstance(replies, ScriptedModel) else ScriptedModel(replies)
        config = Config(root=place, isolate=False)
        mains = {program.__name__: program} if callable(program) else None
        name = program.__name__ if callable(program) else str(program)
        async with boot(config, models=[model], mains=mains, directory=Path(scratch, "run")) as run:
            return await Agent(run.run.port(0), 0).run(name, task)
