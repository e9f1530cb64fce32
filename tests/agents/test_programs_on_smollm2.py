"""Every shipped program once, all at the same time, as a user runs them: own processes, the real model, its texts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from aios.artifacts import model_path
from aios.boot import boot
from aios.config import Config, LocalModelConfig
from aios.sdk import Agent, gather, rank_tools, solve
from aios_syscalls import CallTool, Chat, ProcessState, Rank, Reply, Syscall

pytestmark = pytest.mark.whole

AGENTS = Path(__file__).parents[2] / "agents"
DEVELOPMENT = Path("~/.cache/aios-dev/models/SmolLM2-135M-Instruct.Q4_1.gguf").expanduser()
TASKS = {
    "answer": "Where was Elena Marchetti born?",
    "classify": "reviews/kettle.txt",
    "digest": "reviews",
    "duet": "1 A fox found a golden key in the snow.",
    "extract": "press-release.txt",
    "planner": "reviews",
    "summarise": "town-news.txt",
    "tool_user": "What is 17 * 23?",
    "writer": "a lighthouse keeper",
}


@pytest.fixture
def gguf() -> Path:
    named = os.environ.get("AIOS_TEST_GGUF")
    for path in [Path(named)] if named else [model_path(), DEVELOPMENT]:
        if path.is_file():
            return path
    pytest.fail(f"no model at {model_path()}; run: python -m aios.artifacts")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_program_does_its_work(gguf: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(AGENTS / "texts", root)
    config = Config(root=root, models={"smollm2": LocalModelConfig(path=gguf)})
    async with boot(config, directory=tmp_path / "run") as run:
        user = Agent(run.run.port(0), 0)
        pids = [await user.spawn(str(AGENTS / f"{program}.py"), task) for program, task in TASKS.items()]
        results = dict(zip(TASKS, await gather(*(user.wait(pid) for pid in pids)), strict=True))
        ended = {process.program: process.state for process in await user.ps() if process.pid in pids}

    assert set(ended.values()) == {ProcessState.DONE}
    assert results["answer"].endswith("(biography.txt:3)")
    assert results["classify"].split()[0] == TASKS["classify"]
    assert results["duet"].startswith("A fox found a golden key in the snow.")
    facts = json.loads(results["extract"])
    text = (root / "press-release.txt").read_text()
    assert {"15 January 2025", "June 2027"} <= set(facts["dates"])
    assert all(fact in text for found in facts.values() for fact in found)
    assert facts == json.loads((root / "results/press-release.txt.facts.json").read_text())
    assert (root / "results/digest.md").read_text().startswith(results["digest"])
    assert results["planner"].startswith("4 texts, 0 failed")
    assert (root / "results/report.md").read_text() in results["planner"]
    assert results["summarise"].startswith("town-news.txt: ")
    assert (root / "results/town-news.txt.summary.md").read_text() == results["summarise"] + "\n"
    assert results["tool_user"].startswith("What is 17 * 23? 391 (calculator")
    (story,) = root.glob("results/story-*.txt")
    assert story.read_text().startswith(results["writer"][:100])


FITTING = {
    "How many feet is 3 metres?": "convert_units",
    "Current time in Berlin please": "clock",
    "Count the letters in: banana": "text_stats",
    "How many days are between 2023-01-05 and 2023-02-05?": "date_diff",
    "What is the most common word in: yes no yes no yes": "word_frequency",
}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_solve_calls_the_tool_that_fits_and_answers(gguf: Path, tmp_path: Path) -> None:
    config = Config(root=tmp_path, models={"smollm2": LocalModelConfig(path=gguf, slots=2)})
    async with boot(config, directory=tmp_path / "run") as run:
        agent = Agent(run.run.port(0), 0)
        tools = await agent.tools()
        for request, name in FITTING.items():
            best = (await rank_tools(agent, request, tools))[0]
            assert best
            assert best.name == name, request
        calls = list[Syscall[Reply]]()

        class Port:
            """Keeps what is submitted."""

            async def submit(self, call: Any, emit: Any = None) -> Any:
                calls.append(call)
                return await run.run.port(0).submit(call)

        request = "Count the letters in: banana"
        answer = await solve(Agent(Port(), 0), request, [tool.name for tool in tools])
    assert answer
    assert any(isinstance(call, Rank) for call in calls)
    assert [call.tool for call in calls if isinstance(call, CallTool)] == ["text_stats"]
    last = calls[-1]
    assert isinstance(last, Chat)
    assert last.messages[-1].role == "tool"
    assert json.loads(last.messages[-1].content)["characters"] > 0
