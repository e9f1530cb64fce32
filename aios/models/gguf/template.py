"""From a conversation to prompt tokens, by the chat template that the GGUF carries."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import ValidationError

from aios.models.gguf.llama import LlamaModel
from aios_syscalls import BadRequest, Chat, Message, ToolSpec, ToolUse

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For files that carry no template."""
HOLDER = re.compile("\ue000([0-9]+)\ue001")
TOOLS = """You may call these tools:
{tools}
To call one, answer with exactly: <tool_call>{{"name": "...", "arguments": {{...}}}}</tool_call>"""
TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


class ChatTemplate:
    """A model's chat template, rendered in jinja2's sandbox as the field does.

    What people and tools wrote can never become a control token: contents are put in as placeholders and
    tokenized apart from the template's own text.
    """

    def __init__(self, model: LlamaModel) -> None:
        source = model.chat_template
        self.builtin = source is not None
        """Whether the file carries one; ChatML is used where it does not."""
        self._knows_tools = bool(source and "tools" in source)
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
        environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
        self._template = environment.from_string(source or CHATML)
        self._model = model

    def tokens(self, chat: Chat) -> list[int]:
        """The prompt of a call. Raises BadRequest when the template refuses the conversation."""
        messages = list(chat.messages) if self._knows_tools else _plain(chat)
        contents = [message.content for message in messages]
        tools = [_nested(tool) for tool in chat.tools] if self._knows_tools and _offers(chat) else None
        try:
            text = self._template.render(
                messages=[_fields(message, f"\ue000{at}\ue001") for at, message in enumerate(messages)],
                tools=tools,
                add_generation_prompt=True,
                bos_token=self._model.text(self._model.bos),
                eos_token=self._model.text(self._model.eos),
            )
        except jinja2.TemplateError as error:
            raise BadRequest(f"the model's chat template refuses the messages: {error}", "messages") from None
        tokens: list[int] = []
        for at, part in enumerate(HOLDER.split(text)):
            holder = at % 2 == 1
            tokens += self._model.tokenize(contents[int(part)] if holder else part, special=not holder)
        if self._model.adds_bos and tokens[:1] != [self._model.bos]:
            tokens.insert(0, self._model.bos)
        return tokens


def forced_call(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """The schema of a call to one of the tools, which a grammar can enforce."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def find_calls(text: str, chat: Chat) -> tuple[str, tuple[ToolUse, ...]]:
    """The text without its tool calls, and the calls to tools that were offered; a bare JSON object is one too."""
    if not _offers(chat):
        return text, ()
    bodies = TOOL_CALL.findall(text)
    rest = TOOL_CALL.sub("", text).strip()
    if not bodies and text.strip().startswith("{"):
        bodies, rest = [text.strip()], ""
    names = {tool.name for tool in chat.tools}
    uses: list[ToolUse] = []
    for body in bodies:
        try:
            call = json.loads(body)
            use = ToolUse(id=f"call_{len(uses) + 1}", name=call["name"], arguments=call.get("arguments") or {})
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
            continue
        if use.name in names:
            uses.append(use)
    return (rest, tuple(uses)) if uses else (text, ())


def _offers(chat: Chat) -> bool:
    return bool(chat.tools) and chat.tool_choice != "none"


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _nested(tool: ToolSpec) -> dict[str, Any]:
    return {"type": "function", "function": tool.model_dump()}


def _fields(message: Message, content: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": content}
    if message.tool_uses:
        fields["tool_calls"] = [
            {"id": use.id, "type": "function", "function": {"name": use.name, "arguments": use.arguments}}
            for use in message.tool_uses
        ]
    if message.tool_use_id:
        fields["tool_call_id"] = message.tool_use_id
    return fields


def _plain(chat: Chat) -> list[Message]:
    """The conversation in words that a template without tools can render."""
    messages = [_in_words(message) for message in chat.messages]
    if _offers(chat):
        lines = [f"{tool.name}: {tool.description} {json.dumps(tool.parameters)}" for tool in chat.tools]
        head = TOOLS.format(tools="\n".join(lines))
        if messages[0].role == "system":
            head, messages = f"{messages[0].content}\n\n{head}", messages[1:]
        messages.insert(0, Message(role="system", content=head))
    return messages


def _in_words(message: Message) -> Message:
    if message.role == "tool":
        return Message(role="user", content=f"The tool answered: {message.content}")
    calls = [
        f"<tool_call>{json.dumps({'name': use.name, 'arguments': use.arguments})}</tool_call>"
        for use in message.tool_uses
    ]
    return Message(role=message.role, content="\n".join(filter(None, [message.content, *calls]))) if calls else message
