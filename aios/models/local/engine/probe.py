"""What a chat template makes of a conversation, found out by canaries: texts that must be found in its rendering.

A template is a program, so whether a message reaches the model cannot be read off it. Some take content apart into
parts, leave the system role or tools out, refuse two results in a row, or keep only the last message: each says
nothing, and its user gets answers to another question. So each kind of conversation is rendered once when a model is
loaded, in one form after the other, until all of it arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product

from aios.models.local.engine.jinja import RENDER_ERRORS, to_json
from aios.models.local.engine.turns import Form
from aios_syscalls import Message, ModelFailed, ToolSpec, ToolUse

Render = Callable[[Sequence[Message], Sequence[ToolSpec], Form], str]

# Upper and lower case, a line end, signs of markup and a letter outside of ASCII: whatever a template may change.
SYSTEM, ASKED, ANSWERED, ASKED_AGAIN, FIRST_RESULT, SECOND_RESULT = (
    f'{word}Qz{number} <é&> "x"\nLast Line' for number, word in enumerate(["Sy", "As", "An", "Ag", "Fi", "Se"])
)
TOOL = ToolSpec(
    name="Probe_qz",
    description="DeQz7 lists files.",
    parameters={
        "type": "object",
        "properties": {"KeyQz": {"type": "string", "description": "PaQz8 of a file."}},
        "required": ["KeyQz"],
    },
)
PART_SPELLED = ("{'type': 'text'", '{"type": "text"')
"""How a list of parts looks that was printed instead of read."""
MAPPING_SPELLED = "{'KeyQz'"

TALK = (
    Message(role="user", content=ASKED),
    Message(role="assistant", content=ANSWERED),
    Message(role="user", content=ASKED_AGAIN),
)
TOLD = (Message(role="system", content=SYSTEM), *TALK)


def _called(*results: str) -> tuple[Message, ...]:
    uses = tuple(
        ToolUse(id=str(number), name=TOOL.name, arguments={"KeyQz": f"ArQz{number}"})
        for number, _result in enumerate(results)
    )
    answers = (Message(role="tool", content=result, tool_use_id=str(number)) for number, result in enumerate(results))
    return TALK[0], Message(role="assistant", tool_uses=uses), *answers


def fitting(render: Render) -> Form:
    """The form in which a template passes on most. Raises ModelFailed when not even a user's text reaches the model."""
    return _Probe(render).form()


def arrives(messages: Iterable[Message], text: str) -> bool:
    """Whether what messages say is in a rendering, whole and in order, be it as JSON.

    Replies that were reasoned about are left out: templates cut the reasoning away.
    """
    at = 0
    for message in messages:
        if message.role == "assistant" and "think" in message.content:
            continue
        # Some templates write the system text at the end, with the last question.
        begin = 0 if message.role == "system" else at
        for piece in [message.content.strip(), *(use.name for use in message.tool_uses)]:
            begin = _end_of(piece, text, begin)
            if begin < 0:
                return False
        at = max(at, begin) if message.role != "system" else at
    return True


def _end_of(piece: str, text: str, begin: int) -> int:
    """Where a piece ends in a text, as it is or as JSON has it; -1 if it is not there."""
    for spelling in (piece, to_json(piece)[1:-1], to_json(piece, ensure_ascii=True)[1:-1]):
        if (at := text.find(spelling, begin)) >= 0:
            return at + len(spelling)
    return -1


class _Probe:
    def __init__(self, render: Render) -> None:
        self._render = render
        self._reason = ""

    def form(self) -> Form:
        known = [Form(frozenset(roles), listed=listed) for roles in _PARTS for listed in (False, True)]
        if form := self._first(TALK, known):
            return self._calls(self._tools(self._system(form)))
        if form := self._first(TALK[:1], map(Form.alone, known)):
            return form
        raise ModelFailed(_unreached(self._reason))

    def _system(self, form: Form) -> Form:
        parts = replace(form, parts=form.parts | {"system"})
        return self._first(TOLD, [form, parts]) or replace(form, system=False)

    def _tools(self, form: Form) -> Form:
        canaries = (TOOL.name, TOOL.description, "KeyQz", "PaQz8")
        messages = TOLD[:2] if form.system else TALK[:1]
        text = self._rendered(messages, form, (TOOL,))
        described = text is not None and all(each in text for each in canaries) and arrives(messages, text)
        return form if described else replace(form, tools=False, calls=False)

    def _calls(self, form: Form) -> Form:
        if not form.calls:
            return form
        for absent, spelled, parts in product((False, True), (False, True), ((), ("tool",))):
            tried = replace(form, absent=absent, spelled=spelled, parts=form.parts | frozenset(parts))
            if self._passes_calls(tried):
                return tried
        return replace(form, calls=False)

    def _passes_calls(self, form: Form) -> bool:
        """Whether a call and its result arrive; and two at once, unless they are refused: that is seen in a chat."""
        one, two = _called(FIRST_RESULT), _called(FIRST_RESULT, SECOND_RESULT)
        if not all(self._passes_call(each, form) for each in (one, (*one, *TALK[1:]))):
            return False
        return all(
            self._rendered(each, form, (TOOL,)) is None or self._passes_call(each, form)
            for each in (two, (*two, *TALK[1:]))
        )

    def _passes_call(self, messages: Sequence[Message], form: Form) -> bool:
        text = self._rendered(messages, form, (TOOL,))
        values = [str(value) for message in messages for use in message.tool_uses for value in use.arguments.values()]
        return (
            text is not None
            and arrives(messages, text)
            and MAPPING_SPELLED not in text
            and all(value in text for value in values)
        )

    def _first(self, messages: Sequence[Message], forms: Iterable[Form]) -> Form | None:
        for form in forms:
            text = self._rendered(messages, form)
            if text is not None and arrives(messages, text):
                return form
        return None

    def _rendered(self, messages: Sequence[Message], form: Form, tools: Sequence[ToolSpec] = ()) -> str | None:
        """What comes out; None when the template refuses it, or prints what it should read."""
        try:
            text = self._render(messages, tools, form)
        except RENDER_ERRORS as error:
            self._reason = f": {error}"
            return None
        return None if any(each in text for each in PART_SPELLED) else text


_PARTS = ((), ("user",), ("user", "assistant"), ("assistant",))


def _unreached(reason: str) -> str:
    return (
        "the model's chat template does not pass on what a user says, neither as text nor as a list of parts"
        f"{reason}; every prompt would get the same answer; use another GGUF of it, or mend its template"
    )
