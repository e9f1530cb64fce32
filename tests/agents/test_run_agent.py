"""Testing an agent takes a few lines, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.sdk import Agent
from aios.testing import ScriptedModel, run_agent
from aios_syscalls import AgentFailed, Denied, ModelFailed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_backoff")]

PROGRAM = '''"""Shout what the model says of a file."""
async def main(agent, task):
    answer = await agent.ask(await agent.read(task))
    await agent.write("shout.txt", answer.upper())
    return answer.upper()
'''


async def test_a_program_by_path(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(PROGRAM)
    model = ScriptedModel(["hello"])
    root = tmp_path / "root"
    result = await run_agent(
        tmp_path / "shout.py", "in/a.txt", replies=model, files={"in/a.txt": "Say hello"}, root=root
    )
    assert result == "HELLO"
    assert model.calls[0].messages[0].content == "Say hello"
    assert (root / "shout.txt").read_text() == "HELLO"


async def test_a_function_and_the_programs_it_spawns() -> None:
    async def main(agent: Agent, task: str) -> str:
        return await agent.run("classify", task)

    result = await run_agent(main, "a.txt", replies='"food"', files={"a.txt": "Bread is good."})
    assert result.split() == ["a.txt", "food", "-"]


async def test_what_the_agent_raises_is_in_the_error() -> None:
    async def main(agent: Agent, task: str) -> str:
        with pytest.raises(Denied):
            await agent.read("/etc/passwd")
        with pytest.raises(ModelFailed, match="no reply left"):
            await agent.ask("one too many")
        raise ValueError(task)

    with pytest.raises(AgentFailed, match="ValueError: on purpose"):
        await run_agent(main, "on purpose", replies=[])


async def test_nothing_is_left_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    async def main(agent: Agent, task: str) -> str:
        await agent.write("a.txt", task)
        return await agent.read("a.txt")

    assert await run_agent(main, "kept nowhere") == "kept nowhere"
    assert not list(tmp_path.iterdir())


async def test_a_ranking_goes_to_the_model_and_back() -> None:
    async def main(agent: Agent, task: str) -> str:
        return (await agent.rank(task, ["tea", "milk"])).choice

    model = ScriptedModel([], choose=lambda call: "milk")
    assert await run_agent(main, "What do cats drink?", replies=model) == "milk"
    assert model.rankings[0].messages[-1].content == "What do cats drink?"
