"""From a chat to the tokens that a model reads, and from what it writes back to tool calls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jinja2 import TemplateError

from aios.models.local.engine import probe
from aios.models.local.engine.generation import TaggedTokens, identity
from aios.models.local.engine.jinja import RENDER_ERRORS, parse
from aios.models.local.engine.text import CALL_BEGINS, CALL_ENDS
from aios.models.local.engine.turns import END, REPLY, Form, Turn, arrange, function
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, ToolSpec, ToolUse

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
"""For models whose file brings no template; most of those that bring one have something like it."""

QUOTE, UNQUOTE = "\ue0f1", "\ue0f2"
"""Around placeholders: private-use characters, which no template knows."""
MARK = re.compile(f"({QUOTE}\\d+{UNQUOTE}|[{REPLY}{END}])")

TAGGED = re.compile(rf"{CALL_BEGINS}\s*(\{{.*?\}})\s*(?:{CALL_ENDS}|$)", re.DOTALL)


class TokenVocabulary(Protocol):
    """What a template needs of a model."""

    @property
    def begin(self) -> int | None: ...

    @property
    def control_texts(self) -> frozenset[str]: ...

    def metadata(self, key: str) -> str | None: ...

    def spelling(self, which: str) -> str: ...

    def tokenize(self, text: str, special: bool = False) -> list[int]: ...


class NoJinja(ModelFailed):
    """A chat template cannot be read: no chat is possible, but texts can be ranked."""


class Template:
    """The chat template of a model's file, a Jinja program in a sandbox; any thread may use it.

    Raises NoJinja for one that is no Jinja, ModelFailed for one that does not pass on what a user says.
    """

    def __init__(self, vocabulary: TokenVocabulary) -> None:
        source = vocabulary.metadata("tokenizer.chat_template")
        self.fallback = source is None
        """Whether the file has none, so that ChatML stands in."""
        self._vocabulary = vocabulary
        self._spellings = {f"{which}_token": vocabulary.spelling(which) for which in ("bos", "eos")}
        try:
            self._template = parse(CHATML if source is None else source)
        except (TemplateError, RecursionError) as error:
            raise NoJinja(f"the model's chat template is no valid Jinja: {error}; use another GGUF of it") from None
        controls = sorted(vocabulary.control_texts, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, controls)) or r"(?!)")
        self.form = probe.fitting(self._try)
        """How it gets a conversation."""

    @property
    def described(self) -> str:
        """Whose template it is."""
        return "ChatML, for the file has none" if self.fallback else "its own"

    def tokens(self, chat: Chat) -> list[int]:
        """The prompt's token ids. Raises BadRequest for messages that the template refuses."""
        return [identity(code) for code in self.tagged(chat)]

    def to_rank(self, chat: Chat) -> list[int]:
        """The ids of a prompt whose continuations are compared, not written."""
        return self.tokens(chat)

    def tagged(self, chat: Chat) -> TaggedTokens:
        """The prompt's tagged tokens: those of earlier replies are computed alone, as they were when they were written.

        What the caller spelled like a control token is read as plain text: it is taken out before the template runs
        and tokenized by itself, so that tokens merge differently around it, and nowhere else.
        """
        quoted: list[str] = []
        text = self._render(chat.messages, () if chat.tool_choice == "none" else chat.tools, quoted)
        replies = sum(message.generated for message in chat.messages)
        # A template that moves or cuts replies may leave half of a pair.
        whole = re.sub(f"[^{REPLY}{END}]", "", text) == (REPLY + END) * replies
        tagged: TaggedTokens = []
        alone = False
        for part in MARK.split(text):
            if part in (REPLY, END):
                alone = whole and part == REPLY
                continue
            if part[:1] == QUOTE:
                tokens = self._vocabulary.tokenize(quoted[int(part[1:-1])])
            else:
                tokens = self._vocabulary.tokenize(part, special=not alone)
            tagged += [~token for token in tokens] if alone else tokens
        begin = self._vocabulary.begin
        return [begin, *tagged] if begin is not None and tagged[:1] != [begin] else tagged

    def _render(self, messages: Sequence[Message], tools: Sequence[ToolSpec], quoted: list[str]) -> str:
        """The prompt as text, in the first form that the template takes and in which all that was said arrives."""
        said = [self._quoted_message(message, quoted) for message in messages]
        described = [self._quoted(function(tool), quoted) for tool in tools]
        refusal, lost = None, False
        for form in self.form.fallbacks():
            try:
                text = self._run(said, described, form)
            except RENDER_ERRORS as error:
                refusal = refusal or error
                continue
            if probe.arrives(said, text):
                return text
            lost = True
        if lost:
            raise ModelFailed(
                "the model's chat template leaves out or changes a part of these messages; use another GGUF of it"
            )
        raise BadRequest(f"the model's chat template refuses these messages: {refusal}", "messages")

    def _try(self, messages: Sequence[Message], tools: Sequence[ToolSpec], form: Form) -> str:
        return self._run(messages, [function(tool) for tool in tools], form)

    def _run(self, messages: Sequence[Message], tools: Sequence[Turn], form: Form) -> str:
        return self._template.render(
            messages=arrange(messages, tools, form),
            tools=list(tools) if tools and form.tools else [] if form.listed else None,
            documents=None,
            add_generation_prompt=True,
            **self._spellings,
        )

    def _quoted_message(self, message: Message, quoted: list[str]) -> Message:
        uses = tuple(
            use.model_copy(update={"arguments": self._quoted(use.arguments, quoted)}) for use in message.tool_uses
        )
        return message.model_copy(update={"content": self._quoted(message.content, quoted), "tool_uses": uses})

    def _quoted(self, value: Any, quoted: list[str]) -> Any:
        """A JSON value with a placeholder for each control token spelled in it; `quoted` takes the spellings."""
        if isinstance(value, dict):
            return {key: self._quoted(each, quoted) for key, each in value.items()}
        if isinstance(value, list):
            return [self._quoted(each, quoted) for each in value]
        if not isinstance(value, str):
            return value

        def quote(match: re.Match[str]) -> str:
            quoted.append(match[0])
            return f"{QUOTE}{len(quoted) - 1}{UNQUOTE}"

        # A placeholder in the input would be taken for one of ours.
        return self._control.sub(quote, re.sub(f"[{QUOTE}{UNQUOTE}{REPLY}{END}]", "\ufffd", value))


class PlainText(Template):
    """In the place of a template that cannot be read. Chats raise the reason; what is ranked follows the bare text."""

    def __init__(self, vocabulary: TokenVocabulary, reason: NoJinja) -> None:
        self.fallback = False
        self._vocabulary, self._reason = vocabulary, reason

    @property
    def described(self) -> str:
        return self._reason.message

    def tagged(self, chat: Chat) -> list[int]:  # noqa: ARG002
        raise ModelFailed(self._reason.message)

    def to_rank(self, chat: Chat) -> list[int]:
        said = "\n\n".join(message.content for message in chat.messages if message.content)
        begin = self._vocabulary.begin
        return [*([] if begin is None else [begin]), *self._vocabulary.tokenize(said)]


def template_of(vocabulary: TokenVocabulary) -> Template:
    """The template of a model's file, be it readable or not. Raises ModelFailed for one that loses what users say."""
    try:
        return Template(vocabulary)
    except NoJinja as reason:
        return PlainText(vocabulary, reason)


def parse_tool_uses(text: str, tools: Sequence[ToolSpec]) -> tuple[str, list[ToolUse]]:
    """What is text in an answer, and the tool calls in it: tagged ones, or all of it as bare JSON that names a tool.

    The calls get the ids "0", "1", ...; what looks like a call but is none, or none of one of the tools with arguments
    as its schema has them, stays text.
    """
    found: list[ToolUse] = []
    offered = {tool.name: tool for tool in tools}

    def take(match: re.Match[str]) -> str:
        use = _use(_json(match[1]), len(found), offered)
        found.extend([use] if use else [])
        return "" if use else match[0]

    rest = TAGGED.sub(take, text)
    if found:
        return rest, found
    value = _json(text)
    uses = [_use(each, number, offered) for number, each in enumerate(value if isinstance(value, list) else [value])]
    if uses and all(uses):
        return "", [use for use in uses if use]
    return text, []


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def without_half_a_call(text: str) -> str:
    """An answer without the call in which its tokens ran out: nobody may take that for one."""
    begin = text.rfind(CALL_BEGINS)
    return text if begin < 0 or CALL_ENDS in text[begin:] else text[:begin]


def _use(value: Any, number: int, offered: Mapping[str, ToolSpec]) -> ToolUse | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or value["name"] not in offered:
        return None
    arguments = value.get("arguments", value.get("parameters"))
    if not isinstance(arguments, dict) or not _is_valid(arguments, offered[value["name"]].parameters):
        return None
    return ToolUse(id=str(number), name=value["name"], arguments=arguments)


def _is_valid(arguments: dict[str, Any], schema: Any) -> bool:
    """Whether arguments are as a schema says; of a schema that nobody can make sense of, everything is."""
    from jsonschema import Draft202012Validator  # a tenth of a second, which few answers need
    from jsonschema_specifications import REGISTRY

    try:
        return bool(Draft202012Validator(schema, registry=REGISTRY).is_valid(arguments))
    except Exception:  # whatever a broken schema makes the validator raise
        return True
