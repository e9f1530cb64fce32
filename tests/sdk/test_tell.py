"""Summaries of texts that are too long for one look."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.boot import boot
from aios.config import Config, FilesConfig
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent, summarise
from aios.sdk.summaries import LONGEST, MAX_SUMMARISED_BYTES, cut


@given(st.text(st.sampled_from("aé\U0001f600 \n"), max_size=LONGEST * 2))
def test_parts_are_the_text_and_none_is_too_long(text: str) -> None:
    parts = cut(text)
    assert "".join(parts) == text
    assert all(len(part.encode()) <= LONGEST for part in parts)


@pytest.mark.anyio
async def test_a_long_file_is_read_part_by_part_and_then_as_a_whole(tmp_path: Path) -> None:
    model = ScriptedModel(
        ["Penguins swim far.", "Budgets were cut.", "Engines are red.", "Penguins swim; budgets were cut."]
    )
    config = Config(root=tmp_path, isolate=False, files=FilesConfig(embedder="none"))
    async with boot(config, models=[model], directory=tmp_path / "run") as run:
        agent = Agent(run.run.port(0), 0)
        lines = ("Penguins swim far. ", "Budgets were cut. ", "Engines are red. ")
        await agent.write("a", "\n".join((line * 200)[: LONGEST - 100] for line in lines))
        assert await summarise(agent, "a") == "Penguins swim; budgets were cut."
        asked = [call.messages[-1].content for call in model.calls]
        assert [line.strip() in text for line, text in zip(lines, asked, strict=False)] == [True] * 3
        assert "Penguins swim far.\nBudgets were cut.\nEngines are red." in asked[3]
        assert all(len(text.encode()) < LONGEST + 200 for text in asked)


@pytest.mark.anyio
@pytest.mark.usefixtures("no_backoff")
async def test_what_has_no_sentence_comes_to_an_end_and_says_how_much_was_read(tmp_path: Path) -> None:
    config = Config(root=tmp_path, isolate=False, files=FilesConfig(embedder="none"))
    async with boot(config, models=[ScriptedModel([])], directory=tmp_path / "run") as run:
        agent = Agent(run.run.port(0), 0)
        await agent.write("a", "\U0001f600" * MAX_SUMMARISED_BYTES)
        assert (await summarise(agent, "a")).endswith(f"(of its first {MAX_SUMMARISED_BYTES} bytes)")
