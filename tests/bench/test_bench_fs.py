"""The bench of requests in plain words, by rule alone: its figures, and its watch over what destroys."""

from __future__ import annotations

import pytest

from aios.bench import fs
from aios.bench.fs_prompts import HELD_OUT, TUNING, Prompt
from aios.fs.operations import Delete, DeleteWhatMatches, Operation, Replace, Rollback, ShareLinkTo, Undo, Write
from aios.sdk import Agent

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
PROMPTS = [*((prompt, "held_out") for prompt in HELD_OUT), *((prompt, "tuning") for prompt in TUNING)]


def test_there_are_sixty_requests_of_which_eight_are_to_be_refused(anyio_backend: str) -> None:
    assert len(HELD_OUT) == len(TUNING) == 30
    assert [sum(bool(prompt.refused) for prompt in half) for half in (HELD_OUT, TUNING)] == [4, 4]
    assert len({prompt.text for prompt, _ in PROMPTS}) == 60


@pytest.mark.whole
async def test_the_rules_make_no_wrong_plan_and_nothing_is_destroyed_without_a_yes() -> None:
    figures, destructive = await fs._with(None, {"rules": fs._rules}, PROMPTS)
    assert figures["wrong_plans_rules"] == 0
    assert figures["refused_rules"] == 1
    assert figures["arguments_rules"] >= 0.9
    assert destructive == 0


@pytest.mark.whole
@pytest.mark.parametrize("sure", [True, False])
async def test_a_reading_that_destroys_is_run_up_to_the_question(sure: bool) -> None:
    steps: list[Operation] = [
        Delete(path="report.md"),
        Write(path="notes.txt", text="x"),
        DeleteWhatMatches(query="garden"),
        Replace(find="garden", by="x"),
        Undo(agent="external"),
        ShareLinkTo(path="report.md"),
    ]

    async def bent(agent: Agent, text: str) -> fs.Reading:
        return fs.Reading([text], [step for step in steps if step.op == text], sure)

    prompts = [(Prompt(step.op), "tuning") for step in steps]
    figures, destructive = await fs._with(None, {"bent": bent}, prompts)
    assert destructive == 0
    assert figures["wrong_plans_bent"] == (len(steps) if sure else 0)


@pytest.mark.whole
async def test_the_watch_counts_what_it_is_there_to_count() -> None:
    async def careless(agent: Agent, text: str) -> fs.Reading:
        await agent.delete("notes.txt")
        return fs.Reading(["rollback"], [Rollback(path="report.md", at=-1)])

    _, destructive = await fs._with(None, {"careless": careless}, [(Prompt("x"), "tuning")])
    assert destructive == 1
