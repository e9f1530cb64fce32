"""From a chat to the tokens that a model reads, and from what it writes back to tool calls."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn, Protocol

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from aios.models.local.generation import identity
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, ToolSpec, ToolUse

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
"""For models whose file brings no template; most of those that bring one have something like it."""

TOOLS = """You may call functions. They are, with the JSON Schema of their arguments:
{tools}
To call one, answer with only <tool_call>{{"name": function, "arguments": {{...}}}}</tool_call>."""

QUOTE, UNQUOTE = "\ue0f1", "\ue0f2"
"""Around placeholders: private-use characters, which no template knows."""
REPLY, END = "\ue0f3", "\ue0f4"
"""Around what a model wrote in an earlier turn."""
MARK = re.compile(f"({QUOTE}\\d+{UNQUOTE}|[{REPLY}{END}])")

TAGGED = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|$)", re.DOTALL)


class Vocabulary(Protocol):
    """What a template needs of a model."""

    @property
    def begin(self) -> int | None: ...

    @property
    def control_texts(self) -> frozenset[str]: ...

    def metadata(self, key: str) -> str | None: ...

    def spelling(self, which: str) -> str: ...

    def tokenize(self, text: str, special: bool = False) -> list[int]: ...


class Template:
    """The chat template of a model's file, a Jinja program in a sandbox. Raises ModelFailed for one that is broken."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        source = vocabulary.metadata("tokenizer.chat_template")
        self.fallback = source is None
        """Whether the file has none, so that ChatML stands in."""
        self._vocabulary = vocabulary
        self._knows_tools = "tools" in (source or "")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
        environment.filters["tojson"] = _to_json
        try:
            self._template = environment.from_string(source or CHATML)
        except TemplateError as error:
            raise ModelFailed(f"the model's chat template is no valid Jinja: {error}; use another GGUF of it") from None
        controls = sorted(vocabulary.control_texts, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, controls)) or r"(?!)")

    def tokens(self, chat: Chat) -> list[int]:
        """The prompt's token ids. Raises BadRequest for messages that the template refuses."""
        return [identity(code) for code in self.codes(chat)]

    def codes(self, chat: Chat) -> list[int]:
        """The prompt's codes: tokens of earlier replies are computed alone, as they were when they were written.

        What the caller spelled like a control token is read as plain text: it is taken out before the template runs
        and tokenized by itself, so that tokens merge differently around it, and nowhere else.
        """
        quoted: list[str] = []
        text = self._render(chat.messages, () if chat.tool_choice == "none" else chat.tools, quoted)
        replies = sum(message.generated for message in chat.messages)
        # A template that moves or cuts replies may leave half of a pair.
        whole = re.sub(f"[^{REPLY}{END}]", "", text) == (REPLY + END) * replies
        codes: list[int] = []
        alone = False
        for part in MARK.split(text):
            if part in (REPLY, END):
                alone = whole and part == REPLY
                continue
            if part[:1] == QUOTE:
                tokens = self._vocabulary.tokenize(quoted[int(part[1:-1])])
            else:
                tokens = self._vocabulary.tokenize(part, special=not alone)
            codes += [~token for token in tokens] if alone else tokens
        begin = self._vocabulary.begin
        return [begin, *codes] if begin is not None and codes[:1] != [begin] else codes

    def _render(self, messages: Sequence[Message], tools: Sequence[ToolSpec], quoted: list[str]) -> str:
        turn_of = _native if self._knows_tools else _plain
        turns = [self._turn(turn_of(message), message.generated, quoted) for message in messages]
        described = [self._quoted(_function(tool), quoted) for tool in tools]
        if described and not self._knows_tools:
            turns = _introduced(turns, described)
        try:
            return self._template.render(
                messages=turns,
                tools=described if self._knows_tools and described else None,
                add_generation_prompt=True,
                bos_token=self._vocabulary.spelling("bos"),
                eos_token=self._vocabulary.spelling("eos"),
            )
        except (
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise BadRequest(f"the model's chat template refuses these messages: {error}", "messages") from None

    def _turn(self, turn: dict[str, Any], generated: bool, quoted: list[str]) -> dict[str, Any]:
        turn = self._quoted(turn, quoted)
        return turn | {"content": f"{REPLY}{turn['content']}{END}"} if generated else turn

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


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)


def _to_json(value: Any, indent: int | None = None, **_options: Any) -> str:
    # Jinja's own escapes HTML, which models have never seen.
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _function(tool: ToolSpec) -> dict[str, Any]:
    return {"type": "function", "function": tool.model_dump()}


def _native(message: Message) -> dict[str, Any]:
    """A message as templates that know of tools expect it."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_uses:
        turn["tool_calls"] = [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
            for use in message.tool_uses
        ]
    if message.tool_use_id is not None:
        turn["tool_call_id"] = message.tool_use_id
    return turn


def _plain(message: Message) -> dict[str, Any]:
    """A message for templates that know nothing of tools: calls and answers as text."""
    calls = [
        f"<tool_call>{_to_json({'name': use.name, 'arguments': use.arguments})}</tool_call>"
        for use in message.tool_uses
    ]
    content = "\n".join(filter(None, [message.content, *calls]))
    if message.role == "tool":
        return {"role": "user", "content": f"<tool_response>{content}</tool_response>"}
    return {"role": message.role, "content": content}


def _introduced(turns: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with a system message that describes the tools."""
    text = TOOLS.format(tools="\n".join(_to_json(tool["function"]) for tool in tools))
    if turns[0]["role"] == "system":
        return [{"role": "system", "content": f"{turns[0]['content']}\n\n{text}"}, *turns[1:]]
    return [{"role": "system", "content": text}, *turns]


def parse_tool_uses(text: str, tools: Sequence[ToolSpec]) -> tuple[str, list[ToolUse]]:
    """What is text in an answer, and the tool calls in it: tagged ones, or all of it as bare JSON that names a tool.

    The calls get the ids "0", "1", ...; what looks like a call but is none stays text.
    """
    found: list[ToolUse] = []

    def take(match: re.Match[str]) -> str:
        use = _use(_json(match[1]), len(found))
        found.extend([use] if use else [])
        return "" if use else match[0]

    rest = TAGGED.sub(take, text)
    if found:
        return rest, found
    value = _json(text)
    uses = [_use(each, number) for number, each in enumerate(value if isinstance(value, list) else [value])]
    names = {tool.name for tool in tools}
    if uses and all(use and use.name in names for use in uses):
        return "", [use for use in uses if use]
    return text, []


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _use(value: Any, number: int) -> ToolUse | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters"))
    return ToolUse(id=str(number), name=value["name"], arguments=arguments) if isinstance(arguments, dict) else None
