"""The shipped programs on the scripted model: what they read, ask and write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aios.hosts.program import default_directories, load, programs, summary
from aios.sdk import Agent
from aios.testing import ScriptedModel, run_agent
from aios_syscalls import AgentFailed, Chat

pytestmark = pytest.mark.anyio
TEXT = "Maria Lopez opened a shop in Lisbon on 2 May. It sells bread and old books to the neighbours.\n"


def test_every_program_loads_and_says_what_it_does() -> None:
    found = programs(default_directories())
    assert {"summarise", "extract", "classify", "answer", "planner", "tool_user", "writer"} <= found.keys()
    for path in found.values():
        assert callable(load(path))
        assert summary(path).endswith(".")


async def test_summarise_reads_a_folder_and_writes_the_digest(tmp_path: Path) -> None:
    model = ScriptedModel("A summary.")
    result = await run_agent(
        "summarise", replies=model, files={"a.txt": TEXT, "b.md": TEXT, "c.bin": b"\0"}, root=tmp_path
    )
    assert result == "a.txt: A summary.\nb.md: A summary."
    assert (tmp_path / "summary.md").read_text() == result + "\n"
    assert len(model.calls) == 2


async def test_extract_drops_what_the_text_does_not_say(tmp_path: Path) -> None:
    def invent(chat: Chat) -> str:
        assert chat.response_schema is not None
        lists: dict[str, list[str]] = {name: [] for name in chat.response_schema["properties"]}
        return json.dumps(lists | {"people": ["Maria Lopez", "Elvis"], "places": ["Lisbon"]})

    result = json.loads(await run_agent("extract", "a.txt", replies=invent, files={"a.txt": TEXT}, root=tmp_path))
    assert result["people"] == ["Maria Lopez"]
    assert result["places"] == ["Lisbon"]
    assert json.loads((tmp_path / "a.txt.facts.json").read_text()) == result


async def test_answer_names_the_place_where_it_stands() -> None:
    files = {"shop.txt": f"Nothing here.\n\n{TEXT}", "sea.txt": "The sea was calm and the boats stayed out all night."}
    result = await run_agent("answer", "Who opened a shop in Lisbon?", replies="Maria Lopez", files=files)
    assert "Maria Lopez" in result
    assert "shop.txt:3" in result


async def test_answer_does_not_guess() -> None:
    model = ScriptedModel([])
    assert "not know" in await run_agent("answer", "Who won the chess cup?", replies=model, files={"a.txt": TEXT})
    assert not model.calls


async def test_planner_spawns_workers_and_survives_one_that_fails(tmp_path: Path) -> None:
    def reply(chat: Chat) -> str:
        schema = chat.response_schema or {}
        return json.dumps(schema["enum"][0]) if "enum" in schema else "A summary."

    files: dict[str, str | bytes] = {"texts/a.txt": TEXT, "texts/b.txt": b"\xff" * 10, "texts/c.md": TEXT}
    result = await run_agent("planner", "texts", replies=reply, files=files, root=tmp_path)
    assert "A summary." in result
    assert "A summary." in (tmp_path / "report.md").read_text()


async def test_writer_writes_while_it_generates(tmp_path: Path) -> None:
    story = "It rained. " * 100
    result = await run_agent("writer", "a dog", replies=story, root=tmp_path)
    (path,) = sorted(tmp_path.iterdir())
    assert path.read_text().split() == story.split()
    assert path.name in result


async def test_a_program_may_be_a_function_and_its_failure_is_raised() -> None:
    async def fails(agent: Agent, task: str) -> str:
        raise ValueError(await agent.ask(task))

    with pytest.raises(AgentFailed, match="ValueError: an answer"):
        await run_agent(fails, "question", replies=["an answer"])
