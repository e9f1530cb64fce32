"""The shipped programs on the scripted model: what they read, ask and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aios.hosts.program import default_directories, load, programs, summary
from aios.sdk import Agent
from aios.testing import ScriptedModel, run_agent
from aios_syscalls import AgentFailed, Chat, ModelFailed

pytestmark = pytest.mark.anyio
TEXT = "Maria Lopez opened a shop in Lisbon on 2 May. It sells bread and old books to the neighbours.\n"


def test_every_program_loads_and_says_what_it_does() -> None:
    found = programs(default_directories())
    assert {"summarise", "extract", "classify", "answer", "planner", "tool_user", "writer"} <= found.keys()
    for path in found.values():
        assert callable(load(path))
        assert summary(path).endswith(".")


async def test_summarise_quotes_a_text_rather_than_an_unfaithful_draft(tmp_path: Path) -> None:
    model = ScriptedModel(["Elvis sang loudly in the old town hall.", "Elvis sang."] * 2)
    files: dict[str, str | bytes] = {"a.txt": TEXT, "b.md": TEXT, "c.bin": b"\0"}
    result = await run_agent("summarise", replies=model, files=files, root=tmp_path)
    first = "Maria Lopez opened a shop in Lisbon on 2 May."
    assert result == f"a.txt: {first}\nb.md: {first}"
    assert (tmp_path / "results" / "summary.md").read_text() == result + "\n"


async def test_summarise_takes_a_draft_in_the_text_s_own_words() -> None:
    draft = "A shop in Lisbon sells bread and old books."
    assert await run_agent("summarise", "a.txt", replies=draft, files={"a.txt": TEXT}) == f"a.txt: {draft}"


async def test_extract_names_only_what_is_there(tmp_path: Path) -> None:
    def kind(chat: Chat) -> str:
        return json.dumps("place" if "Lisbon?" in chat.messages[-1].content else "person")

    result = json.loads(await run_agent("extract", "a.txt", replies=kind, files={"a.txt": TEXT}, root=tmp_path))
    assert (result["people"], result["places"], result["dates"]) == (["Maria Lopez"], ["Lisbon"], ["2 May"])
    assert json.loads((tmp_path / "results" / "a.txt.facts.json").read_text()) == result


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
    def reply(chat: Chat) -> str | ModelFailed:
        options = (chat.response_schema or {}).get("enum", [])
        if "This is a story." in options:
            return json.dumps("This is a story.")
        return ModelFailed("no more") if "Broken" in chat.messages[-1].content else "A shop in Lisbon sells bread."

    files = {"texts/a.txt": TEXT, "texts/b.md": f"Broken. {TEXT}"}
    result = await run_agent("planner", "texts", replies=raising(reply), files=files, root=tmp_path)
    assert result.startswith("2 texts, 1 failed")
    report = (tmp_path / "results" / "report.md").read_text()
    assert "A shop in Lisbon sells bread." in report
    assert "FAILED" in report


def raising(reply: Callable[[Chat], str | ModelFailed]) -> Callable[[Chat], str]:
    """A script that raises the errors that another returns."""

    def script(chat: Chat) -> str:
        answer = reply(chat)
        if isinstance(answer, ModelFailed):
            raise answer
        return answer

    return script


async def test_writer_writes_while_it_generates(tmp_path: Path) -> None:
    story = "It rained. " * 100
    result = await run_agent("writer", "a dog", replies=story, root=tmp_path)
    (path,) = sorted((tmp_path / "results").iterdir())
    assert path.read_text().split() == story.split()
    assert path.name in result


async def test_a_program_may_be_a_function_and_its_failure_is_raised() -> None:
    async def fails(agent: Agent, task: str) -> str:
        raise ValueError(await agent.ask(task))

    with pytest.raises(AgentFailed, match="ValueError: an answer"):
        await run_agent(fails, "question", replies=["an answer"])
