"""Chat templates as model makers write them: whatever is said reaches the model, or is said to be lost."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from aios.models.local.engine.template import PlainText, Template, template_of
from aios_syscalls import Chat, Message, ModelFailed, ToolSpec, ToolUse
from tests.models.local.templates import FAMILIES, LOSING, MERGED
from tests.models.local.test_local_template import ADD, Letters

FILES = ToolSpec(
    name="list_files",
    description="Lists a Folder.",
    parameters={
        "type": "object",
        "properties": {"path": {"type": "string", "description": "Which."}, "deep": {"type": "boolean"}},
        "required": ["path"],
    },
)


def user(content: str) -> Message:
    return Message(role="user", content=content)


def system(content: str) -> Message:
    return Message(role="system", content=content)


def assistant(content: str, generated: bool = False) -> Message:
    return Message(role="assistant", content=content, generated=generated)


def calls(*paths: str, content: str = "") -> Message:
    uses = [ToolUse(id=f"call-7f3a-{path}", name="list_files", arguments={"path": path}) for path in paths]
    return Message(role="assistant", content=content, tool_uses=tuple(uses))


def result(path: str, content: str) -> Message:
    return Message(role="tool", content=content, tool_use_id=f"call-7f3a-{path}")


TALK = (system("Be Brief."), user("One?"), assistant("Two.", generated=True), user("Three\n& <Four>?"))
CONVERSATIONS: dict[str, tuple[Message, ...]] = {
    "a question": (user("One?"),),
    "a system text": TALK,
    "one call": (*TALK, calls("/A1"), result("/A1", '["x", {"Y": 1}]'), assistant("Done."), user("And Now?")),
    "two results in a row": (*TALK, calls("/A1", "/B2"), result("/A1", "First\nOut"), result("/B2", "Second Out")),
    "text beside a call": (user("One?"), calls("/A1", content="I Look."), result("/A1", "First Out")),
    "neighbours": (user("One?"), user("One?"), assistant("Two."), assistant("Three."), user("Four?")),
    "a system text in between": (user("One?"), assistant("Two."), system("Now French."), user("Three?")),
    "system texts alone": (system("Be Brief."), system("Begin.")),
    "begun by the assistant": (assistant("Hello."), user("One?")),
}


def missing(template: Template, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...]) -> list[str]:
    """What of a conversation is not in the prompt, or comes too early."""
    text = Letters().read(template.tokens(Chat(messages=messages, tools=tools)))
    pieces = [message.content for message in messages if message.role != "system"]
    pieces += [value for message in messages for use in message.tool_uses for value in (use.name, "/A1")]
    pieces += [message.content for message in messages if message.role == "system"]
    pieces += [piece for tool in tools for piece in (tool.name, tool.description, "path")]
    lost = [piece for piece in pieces if piece not in text and json.dumps(piece)[1:-1] not in text]
    said = [text.rfind(message.content.split("\n")[-1]) for message in messages if message.role == "user"]
    return lost + [f"order {first} {second}" for first, second in pairwise(said) if first > second]


def faults(sources: dict[str, str]) -> list[str]:
    found = []
    for family, source in sources.items():
        template = Template(Letters(source))
        for kind, messages in CONVERSATIONS.items():
            for tools in ((), (FILES,), (ADD, FILES)):
                found += [f"{family}, {kind}: {piece!r} is lost" for piece in missing(template, messages, tools)]
    return found


def test_what_is_said_reaches_every_familys_template() -> None:
    assert len(FAMILIES) > 30
    assert faults(FAMILIES) == []


def test_what_a_template_would_lose_is_said_in_another_form() -> None:
    assert faults(MERGED) == []


def test_these_templates_would_lose_it_else() -> None:
    """The control: handed over as others are, something of a conversation is missing."""
    plain = Template(Letters())
    for source in MERGED.values():
        template = Template(Letters(source))
        template.form = plain.form
        turns = CONVERSATIONS["two results in a row"]
        text = template._try(turns, (FILES,), type(plain.form)())
        pieces = [*(turn.content for turn in turns), "/B2", '"path": "/A1"', FILES.description]
        positions = [text.find(piece) for piece in pieces[:6]]
        assert any(piece not in text for piece in pieces) or positions != sorted(positions), source


def test_a_template_that_loses_what_users_say_is_refused_when_it_is_loaded() -> None:
    for source in LOSING.values():
        with pytest.raises(ModelFailed, match="does not pass on what a user says"):
            Template(Letters(source))


def test_the_refusal_says_what_the_template_said() -> None:
    with pytest.raises(ModelFailed, match=r"'guideline' is undefined.*use another GGUF"):
        Template(Letters(LOSING["wants variables of its own"]))


def test_two_questions_never_give_one_prompt() -> None:
    for source in (FAMILIES | MERGED).values():
        template = Template(Letters(source))
        prompts = [template.tokens(Chat(messages=(user(text),))) for text in ("One?", "Two?")]
        assert prompts[0] != prompts[1]


def test_what_a_template_loses_of_one_message_alone_is_said() -> None:
    source = "{% for m in messages %}{{ m.content.replace('secret', '') }}{% endfor %}"
    template = Template(Letters(source))
    assert template.tokens(Chat(messages=(user("open"),)))
    with pytest.raises(ModelFailed, match="leaves out or changes a part"):
        template.tokens(Chat(messages=(user("a secret word"),)))


def test_reasoning_may_be_cut_from_earlier_replies() -> None:
    template = Template(Letters(FAMILIES["deepseek r1: split at the end of thinking"]))
    messages = user("One?"), assistant("<think>Hmm.</think>Two.", generated=True), user("Three?")
    text = Letters().read(template.tokens(Chat(messages=messages)))
    assert "Two." in text
    assert "Hmm." not in text


def test_ids_of_calls_are_of_nine_letters_and_agree() -> None:
    source = (
        "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}<{{ c.id }}>{% endfor %}"
        "{% if m.tool_call_id %}<{{ m.tool_call_id }}>{% endif %}{% endfor %}"
    )
    messages = CONVERSATIONS["two results in a row"]
    text = Letters().read(Template(Letters(source)).tokens(Chat(messages=messages, tools=(FILES,))))
    assert re.findall("<call(.*?)>", text) == ["00000", "00001"] * 2


def test_a_template_that_is_no_jinja_leaves_ranking() -> None:
    template = template_of(Letters("{% nonsense %}", begin=7))
    assert isinstance(template, PlainText)
    chat = Chat(messages=(system("Be."), user("One?")))
    with pytest.raises(ModelFailed, match="no valid Jinja: Encountered unknown tag 'nonsense'"):
        template.tagged(chat)
    with pytest.raises(ModelFailed, match="no valid Jinja"):
        template.tokens(chat)
    assert template.to_rank(chat) == [7, *map(ord, "Be.\n\nOne?")]
    assert "no valid Jinja" in template.described


def test_a_form_is_found_once_and_held_to() -> None:
    gemma = Template(Letters(FAMILIES["gemma 2: refuses the system role, renames the assistant"])).form
    assert (gemma.system, gemma.tools, gemma.calls) == (False, False, False)
    parts = Template(Letters(FAMILIES["smolvlm: parts only"])).form.parts
    assert parts == {"user", "assistant", "system"}
    deepseek = Template(Letters(FAMILIES["deepseek v3: calls only without content, arguments as text"])).form
    assert (deepseek.calls, deepseek.spelled, deepseek.absent) == (True, True, True)
