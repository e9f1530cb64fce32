"""The shipped programs on the scripted model: what they read, ask and write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aios.hosts.program import default_directories, load_program, program_summary, programs
from aios.models.scripted import ScriptedModel
from aios.testing import run_agent
from aios_syscalls import AgentFailed, Chat, ModelFailed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_backoff")]

SHOP = "Maria Lopez opened a shop in Lisbon on 2 May 2023. It sells bread, and the rent is 900 euros a month.\n"
BOAT = "# The boat\n\nThe boat left the harbour at noon, with four sailors and a cat on board. It carried 30 tonnes.\n"
RUIN = b"\xff\x00 nothing that is a text \xfe"
PROGRAMS = {"answer", "classify", "digest", "duet", "extract", "planner", "summarise", "tool_user", "writer"}


def asked(chat: Chat) -> str:
    """The last thing that the model is told."""
    return chat.messages[-1].content


def choices(chat: Chat) -> list[str]:
    """What the schema lets the model pick from."""
    return list((chat.response_schema or {}).get("enum", ()))


def picking(*wanted: str) -> Callable[[Chat], str]:
    """A model that picks the first of `wanted` that is among the choices, else the first choice."""
    return lambda chat: json.dumps(next((each for each in wanted if each in choices(chat)), choices(chat)[0]))


def test_every_program_loads_and_says_what_it_does() -> None:
    found = programs(default_directories())
    assert found.keys() >= PROGRAMS
    for name in PROGRAMS:
        assert callable(load_program(found[name]))
        assert program_summary(found[name]).endswith(".")


# -- summarise


async def test_summarise_takes_the_draft_that_is_truest_to_the_text(tmp_path: Path) -> None:
    drafts = ["Maria Lopez is a famous painter who lives in a castle.", "Maria Lopez opened a shop that sells bread."]
    files = {"shop.txt": SHOP, "shop.bin": SHOP}
    result = await run_agent("summarise", replies=ScriptedModel(drafts, slots=1), files=files, root=tmp_path)
    assert result == "shop.txt: Maria Lopez opened a shop that sells bread."
    assert (tmp_path / "results/summary.md").read_text() == result + "\n"


async def test_summarise_quotes_where_every_draft_invents() -> None:
    model = ScriptedModel("Maria Lopez opened a shop in Lisbon in 1066.")
    assert await run_agent("summarise", "shop.txt", replies=model, files={"shop.txt": SHOP}) == (
        "shop.txt: Maria Lopez opened a shop in Lisbon on 2 May 2023."
    )
    assert all(chat.max_tokens <= 64 for chat in model.calls)


async def test_summarise_works_on_a_folder_in_order_and_cuts_what_is_long(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"notes/{number:03}.md": BOAT for number in range(40)}
    files |= {"notes/long.txt": BOAT + "All day it rained. " * 10_000, "notes/ruin.txt": RUIN, "notes/void.txt": b""}
    model = ScriptedModel("A boat.")
    result = await run_agent("summarise", "notes/", replies=model, files=files, root=tmp_path)
    assert [line.partition(":")[0] for line in result.splitlines()] == sorted(files)
    assert max(len(asked(chat)) for chat in model.calls) < 3000
    assert (tmp_path / "results/notes.summary.md").read_text() == result + "\n"


# -- digest


async def test_digest_joins_what_was_said_of_each_text_until_one_is_left(tmp_path: Path) -> None:
    def say(chat: Chat) -> str:
        last = asked(chat)
        return f"all of {last.count('- ')}" if "together" in last else f"about {last.split()[0]}"

    files: dict[str, str | bytes] = {f"in/{number}.txt": f"T{number} is a text.\n" for number in range(9)}
    model = ScriptedModel(say)
    assert await run_agent("digest", "in", replies=model, files=files, root=tmp_path) == "all of 3"
    joins = [asked(chat) for chat in model.calls if "together" in asked(chat)]
    assert sorted(text.count("- ") for text in joins) == [3, 4, 4]
    assert joins[-1].startswith("- all of 4\n- all of 4\n- about T8\n")
    assert len(model.calls) == 12
    written = (tmp_path / "results/digest.md").read_text()
    assert written.startswith("all of 3\n\n- in/0.txt: about T0\n")


async def test_digest_of_one_text_is_its_sentence_and_of_very_many_says_so() -> None:
    assert await run_agent("digest", replies="A shop.", files={"shop.txt": SHOP}) == "A shop."
    files: dict[str, str | bytes] = {f"{number:03}.txt": BOAT for number in range(200)}
    assert await run_agent("digest", replies="Boats.", files=files) == "Boats.\n\n(Of the first 180 of 200 texts.)"


async def test_digest_fails_with_the_reason_of_the_text_that_failed() -> None:
    files: dict[str, str | bytes] = {"a.txt": SHOP, "b.txt": BOAT}

    def say(chat: Chat) -> str:
        if "boat" in asked(chat):
            raise ModelFailed("the model is ill")
        return "A shop."

    with pytest.raises(AgentFailed, match="the model is ill"):
        await run_agent("digest", replies=ScriptedModel(say), files=files)


# -- extract


async def test_extract_lets_the_model_say_only_what_a_name_is(tmp_path: Path) -> None:
    def kind(chat: Chat) -> str:
        return json.dumps("place" if asked(chat).endswith("What is Lisbon?") else "person")

    result = await run_agent("extract", "a/shop.txt", replies=kind, files={"a/shop.txt": SHOP}, root=tmp_path)
    assert json.loads(result) == {
        "people": ["Maria Lopez"],
        "places": ["Lisbon"],
        "organisations": [],
        "dates": ["2 May 2023"],
        "amounts": ["900 euros"],
    }
    assert json.loads((tmp_path / "results/a-shop.txt.facts.json").read_text()) == json.loads(result)


async def test_extract_takes_the_first_text_when_none_is_named() -> None:
    model = ScriptedModel(picking("company"))
    result = await run_agent("extract", replies=model, files={"b.md": SHOP, "a.bin": RUIN})
    assert json.loads(result)["organisations"] == ["Maria Lopez", "Lisbon"]


async def test_extract_finds_nothing_in_what_is_no_text() -> None:
    result = await run_agent("extract", "ruin.txt", replies=[], files={"ruin.txt": RUIN})
    assert not any(json.loads(result).values())


@pytest.mark.parametrize("program", ["digest", "extract", "planner"])
async def test_a_root_without_texts_is_an_error_that_says_so(program: str) -> None:
    with pytest.raises(AgentFailed, match=r"no \.txt or \.md file"):
        await run_agent(program, replies=[], files={"a.bin": RUIN})


@pytest.mark.parametrize("program", ["classify", "digest", "extract", "planner", "summarise"])
async def test_a_missing_path_is_an_error_that_names_it(program: str) -> None:
    with pytest.raises(AgentFailed, match=r"gone"):
        await run_agent(program, "gone.txt", replies=[])


# -- classify


async def test_classify_asks_for_feelings_only_where_somebody_speaks() -> None:
    files = {"letter.txt": "I love my new shop and its bread.", "shop.txt": SHOP}
    model = ScriptedModel(picking("food", "The reviewer expresses satisfaction."))
    result = await run_agent("classify", replies=model, files=files)
    assert [line.split() for line in result.splitlines()] == [
        ["letter.txt", "food", "positive"],
        ["shop.txt", "food", "-"],
    ]
    assert len(model.calls) == 3


async def test_classify_passes_on_the_failure_of_the_model() -> None:
    with pytest.raises(AgentFailed, match="the model is ill"):
        await run_agent("classify", "a.txt", replies=ModelFailed("the model is ill"), files={"a.txt": SHOP})


# -- answer


async def test_answer_says_where_the_answer_stands() -> None:
    model = ScriptedModel("Maria Lopez opened it in Lisbon.")
    files = {"deep/shop.txt": f"A title\n\n{SHOP}", "boat.md": BOAT}
    result = await run_agent("answer", "Who opened the shop?", replies=model, files=files)
    assert result == "Maria Lopez opened it in Lisbon. (deep/shop.txt:3)"
    assert "boat" not in asked(model.calls[0])


@pytest.mark.parametrize("said", ["Elvis opened the shop.", "bread", "Maria Lopez opened the", "The shop opened."])
async def test_answer_quotes_where_the_model_invents_or_does_not_end(said: str) -> None:
    result = await run_agent("answer", "Who opened the shop?", replies=said, files={"shop.txt": SHOP})
    assert result == "Maria Lopez opened a shop in Lisbon on 2 May 2023. (shop.txt:1)"


async def test_answer_does_not_guess() -> None:
    files: dict[str, str | bytes] = {"shop.txt": SHOP, "ruin.md": RUIN}
    assert "do not know" in await run_agent("answer", "Why is the sky blue?", replies=[], files=files)


# -- planner


async def test_planner_gives_each_text_to_a_worker_and_survives_one_that_fails(tmp_path: Path) -> None:
    def model(chat: Chat) -> str:
        if not choices(chat):
            return "The boat left the harbour with four sailors."
        if "What does the writer do" in asked(chat):
            return json.dumps("The writer tells a story." if "boat" in asked(chat) else "The writer reports facts.")
        raise ModelFailed("no name can be told today")

    files = {"texts/boat.md": BOAT, "texts/shop.txt": SHOP}
    result = await run_agent("planner", "texts", replies=model, files=files, root=tmp_path)
    assert result.startswith("2 texts, 1 failed")
    report = (tmp_path / "results/report.md").read_text()
    assert "## texts/boat.md (summarise)\n\ntexts/boat.md: The boat left the harbour with four sailors." in report
    assert re.search(r"## texts/shop.txt \(extract\)\n\nFAILED: .*no name can be told today", report)


# -- tool_user


def tooled(arguments: dict[str, dict[str, object]], *wanted: str) -> Callable[[Chat], str]:
    """A model that picks tools as `picking` does, and fills in the arguments of the tool whose schema it sees."""

    def reply(chat: Chat) -> str:
        if choices(chat):
            return picking(*wanted)(chat)
        fields = (chat.response_schema or {})["properties"]
        return json.dumps(next(each for each in arguments.values() if each.keys() <= fields.keys()))

    return reply


async def test_tool_user_answers_with_what_the_tool_says() -> None:
    reply = tooled({"calculator": {"expression": "59 * 12"}}, "calculator")
    question = "A lamp costs 59 euros. What do 12 lamps cost?"
    result = await run_agent("tool_user", question, replies=reply)
    assert result == f'{question} 708 (calculator {{"expression": "59 * 12"}})'


async def test_tool_user_chooses_again_when_numbers_are_missing_or_the_tool_refuses() -> None:
    arguments: dict[str, dict[str, object]] = {
        "clock": {"zone": "Asia/Tokyo"},
        "date_diff": {"start": "5", "end": "5"},
        "convert_units": {"value": 5, "from_unit": "kilograms", "to_unit": "grams"},
    }
    reply = tooled(arguments, "clock", "date_diff", "convert_units")
    assert "grams? 5000.0 (convert_units" in await run_agent(
        "tool_user", "5 kilograms are how many grams?", replies=reply
    )


async def test_tool_user_gives_up_when_no_tool_fits() -> None:
    reply = tooled({"calculator": {"expression": "1"}, "clock": {"zone": "UTC"}, "none": {}}, "calculator")
    assert await run_agent("tool_user", "What is 7 squared?", replies=reply) == (
        "What is 7 squared? No tool could answer this."
    )


async def test_tool_user_hands_over_expressions_units_and_texts_as_they_are() -> None:
    seen = []

    def reply(chat: Chat) -> str:
        if choices(chat):
            return picking("calculator", "text_stats")(chat)
        fields = (chat.response_schema or {})["properties"]
        seen.append({name: field["enum"] for name, field in fields.items() if "enum" in field})
        return json.dumps({name: values[0] for name, values in seen[-1].items()})

    result = await run_agent("tool_user", "What is (8 + 4) * 2.5?\n\nHow many words has: the red hat", replies=reply)
    assert {"expression": ["(8 + 4) * 2.5"]} in seen
    assert {"text": ["the red hat"]} in seen
    assert "30.0" in result.splitlines()[0]
    assert '"words": 3' in result.splitlines()[1]


# -- writer, duet


async def test_writer_saves_the_story_while_it_grows(tmp_path: Path) -> None:
    story = "It rained and rained. " * 30
    model = ScriptedModel(story)
    result = await run_agent("writer", "a dog", replies=model, root=tmp_path)
    assert (tmp_path / "results/story-1.txt").read_text() == story + "\n"
    assert result.endswith("(120 words in results/story-1.txt)")
    assert "a dog" in asked(model.calls[0])
    assert model.calls[0].sampling.seed is not None


async def test_writer_draws_the_same_for_the_same_task() -> None:
    first, again, other = ScriptedModel("A."), ScriptedModel("A."), ScriptedModel("A.")
    for task, model in (("a dog", first), ("a dog", again), ("a cat", other)):
        await run_agent("writer", task, replies=model)
    assert first.calls == again.calls
    assert first.calls[0].sampling.seed != other.calls[0].sampling.seed


async def test_duet_takes_turns_and_leaves_out_what_is_no_part_of_the_story(tmp_path: Path) -> None:
    replies = [
        "The fox ran home.",
        "I love your story.",
        "A bear",
        "A bear came by. It sat down.",
        "They ate.",
        "They slept.",
    ]
    model = ScriptedModel(replies)
    result = await run_agent("duet", "2 A fox woke up.", replies=model, root=tmp_path)
    assert result == "A fox woke up. The fox ran home. A bear came by. They ate. They slept."
    assert (tmp_path / "results/duet-1.txt").read_text() == result + "\n"
