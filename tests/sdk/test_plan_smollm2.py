"""The planner with the real SmolLM2: what it makes of requests that no rule reads, and how far it is believed."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aios.artifacts import model_path
from aios.boot import boot
from aios.config import Config, LocalModelConfig
from aios.fs import OperationPlan, RequestRefused, Why, plan
from aios.fs.model_parse import guess
from aios.fs.planner import survey
from aios.fs.request import mask
from aios.fs.slot_parsers import Context
from aios.fs.slots import SlotCandidates
from aios.sdk import Agent
from aios.sdk.summaries import faithful, summarise

pytestmark = pytest.mark.whole

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
DEVELOPMENT = Path("~/.cache/aios-dev/models/SmolLM2-135M-Instruct.Q4_1.gguf").expanduser()
TEXT = "The bakery in Harbour Street opens at six. Its owner, Maria Lund, bakes forty loaves each morning.\n"


@pytest.fixture
def gguf() -> Path:
    named = os.environ.get("AIOS_TEST_GGUF")
    for path in [Path(named)] if named else [model_path(), DEVELOPMENT]:
        if path.is_file():
            return path
    pytest.fail(f"no model at {model_path()}; run: python -m aios.artifacts")


async def planned(agent: Agent, text: str) -> OperationPlan | RequestRefused:
    try:
        return await plan(agent, text, NOW)
    except RequestRefused as error:
        return error


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_chooses_among_what_was_said_and_is_believed_only_where_it_holds(gguf: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text(TEXT)
    (root / "todo.txt").write_text("rent\n")
    config = Config(root=root, models={"smollm2": LocalModelConfig(path=gguf)})
    async with boot(config, directory=tmp_path / "run") as run:
        agent = Agent(run.run.port(0), 0)

        text = 'Append "- renew passport" to todo.txt'
        known = await survey(agent, text)
        request = mask(text, known)
        reading = await guess(agent, SlotCandidates(request.masked, request, Context(known, NOW)))
        assert reading.operation is not None
        assert reading.why == ""
        assert reading.operation.model_dump() == {"op": "append", "path": "todo.txt", "text": "- renew passport"}

        read = await planned(agent, "have notes.txt swallow 'eggs'")
        if isinstance(read, RequestRefused):
            assert read.why is Why.UNTRUSTED
            assert "Nearest: " in read.message
        else:
            assert not read.sure
            assert [step.model_dump()["path"] for step in read.steps] == ["notes.txt"]

        told = await summarise(agent, "notes.txt")
        assert faithful(told, TEXT) >= 0.8
    assert (root / "notes.txt").read_text() == TEXT
    assert (root / "todo.txt").read_text() == "rent\n"
