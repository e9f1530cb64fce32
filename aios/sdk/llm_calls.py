"""The llm family, as methods of whoever has a port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from aios.sdk.conversation import Conversation
from aios.sdk.given import fields_of, known, schema_of, several_texts
from aios.sdk.prompt import Prompt, messages
from aios.sdk.stream import Stream
from aios.sdk.value import option, values
from aios_syscalls import (
    BadRequest,
    Chat,
    ChatReply,
    Embed,
    GiveFeedback,
    ModelFailed,
    NamedTool,
    Rank,
    RankReply,
    Sampling,
    ToolSpec,
)
from aios_syscalls.port import Port

M = TypeVar("M", bound=BaseModel)


class LlmCalls:
    """Chats, rankings and vectors; every method raises the ABI's errors."""

    def __init__(self, port: Port) -> None:
        self.port = port

    async def chat(
        self,
        prompt: Prompt,
        *,
        system: str | None = None,
        tools: Sequence[ToolSpec] = (),
        tool_choice: Literal["auto", "required", "none"] | NamedTool = "auto",
        schema: dict[str, Any] | None = None,
        grammar: str | None = None,
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        stop: Sequence[str] = (),
        max_tokens: int = 256,
        truncate: bool = False,
        cache_salt: str = "",
        model: str | None = None,
        local_only: bool = False,
        priority: int = 0,
        deadline_s: float | None = None,
    ) -> ChatReply:
        """A model's answer to a prompt or a conversation; greedy unless `sampling` says otherwise."""
        return await self.port.submit(
            Chat(
                messages=messages(prompt, system),
                tools=tools,
                tool_choice=tool_choice,
                response_schema=schema,
                grammar=grammar,
                sampling=sampling,
                stop=several_texts(stop, "stop"),
                max_tokens=max_tokens,
                truncate=truncate,
                cache_salt=cache_salt,
                model=model,
                local_only=local_only,
                priority=priority,
                deadline_s=deadline_s,
            )
        )

    def conversation(self, system: str | None = None) -> Conversation:
        """A chat of several turns, which remembers them."""
        return Conversation(self.chat, system)

    async def ask(self, prompt: Prompt, **options: Any) -> str:
        """As `chat`, but the text alone, stripped."""
        known(options, LlmCalls.chat)
        return (await self.chat(prompt, **options)).text.strip()

    async def extract(self, prompt: Prompt, form: type[M], **options: Any) -> M:
        """An answer as a pydantic model: decoding is constrained to its JSON schema.

        A server that takes no schema may say more: the one value that fits is found between fences or in prose. Raises
        ModelFailed when the answer was cut off by `max_tokens`, breaks a rule that a grammar cannot hold, or holds
        several different values.
        """
        known(options, LlmCalls.chat, own=("schema", "grammar"))
        reply = await self.chat(prompt, schema=schema_of(form), **options)
        errors: list[ValidationError] = []

        def read(text: str) -> M | None:
            try:
                return form.model_validate_json(text)
            except ValidationError as error:
                errors.append(error)
                return None

        found = values(reply.text, read, whole=reply.finish == "length")
        if len(found) == 1:
            return found[0]
        why = f"it holds {len(found)} different ones" if found else _likeliest(errors)
        why = "max_tokens cut it off" if reply.finish == "length" else why
        raise ModelFailed(f"the answer is no valid {form.__name__}: {why}; raise max_tokens or ask again")

    async def pick(self, prompt: Prompt, options: Iterable[str], **settings: Any) -> str:
        """One of `options`, chosen by the model.

        Raises BadRequest without options, ModelFailed when the model writes something else all the same.
        """
        known(settings, LlmCalls.chat, own=("schema", "grammar"))
        choices = list(several_texts(options, "options"))
        if not choices:
            raise BadRequest("there are no options to pick from; give one or more texts", "options")
        reply = await self.chat(prompt, schema={"type": "string", "enum": choices}, **settings)
        found = values(reply.text, lambda text: option(text, choices))
        if len(found) != 1:
            what = "more than one" if found else "none"
            raise ModelFailed(f"the answer {reply.text[:80]!r} is {what} of the options; raise max_tokens or ask again")
        return found[0]

    async def rank(
        self,
        prompt: Prompt,
        options: Iterable[str],
        *,
        system: str | None = None,
        tools: Sequence[ToolSpec] = (),
        prefix: str = "",
        evidence: str = "",
        neutral: Sequence[str] = (),
        cache_salt: str = "",
        model: str | None = None,
        local_only: bool = False,
        priority: int = 0,
        deadline_s: float | None = None,
    ) -> RankReply:
        """How likely the model finds each of some texts after `prefix`, or, if given, the `evidence` after each.

        `neutral` are replacements for the last user message, or the evidence, that ask nothing: an option is then not
        better for being likely anyway. Raises BadRequest for a remote model.
        """
        return await self.port.submit(
            Rank(
                messages=messages(prompt, system),
                tools=tools,
                prefix=prefix,
                options=several_texts(options, "options"),
                evidence=evidence,
                neutral=several_texts(neutral, "neutral"),
                cache_salt=cache_salt,
                model=model,
                local_only=local_only,
                priority=priority,
                deadline_s=deadline_s,
            )
        )

    @asynccontextmanager
    async def stream(self, prompt: Prompt, *, system: str | None = None, **options: Any) -> AsyncIterator[Stream]:
        """An answer piece by piece: `async with agent.stream(...) as pieces: async for piece in pieces`."""
        known(options, LlmCalls.chat)
        call = Chat(messages=messages(prompt, system), **fields_of(options))
        stream = Stream()
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.run, self.port, call)
                try:
                    yield stream
                except Exception as error:  # raised below as it is, not in the task group's exception group
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            stream.close()
        if failure is not None:
            raise failure

    async def embed(
        self,
        texts: Sequence[str],
        *,
        truncate: bool = False,
        model: str | None = None,
        local_only: bool = False,
        **options: Any,
    ) -> tuple[tuple[float, ...], ...]:
        """A vector of length 1 for each of up to 256 texts, all of one model; their inner products are similarities.

        Name the model where vectors are kept: those of different models have nothing to do with each other.
        """
        call = Embed(
            texts=several_texts(texts, "texts"), truncate=truncate, model=model, local_only=local_only, **options
        )
        return (await self.port.submit(call)).vectors

    async def feedback(self, call: ChatReply | str, score: float) -> None:
        """Say how good an answer was, from 0 to 1: the router learns from it. Raises BadRequest for no score."""
        answered = call.call if isinstance(call, ChatReply) else call
        await self.port.submit(GiveFeedback(answered=answered, score=score))


def _likeliest(errors: Sequence[ValidationError]) -> str:
    """Of what was found, the error of the likeliest: of a value that is JSON, else of the text."""
    fits = [error for error in errors if error.errors(include_url=False)[0]["type"] != "json_invalid"]
    return str((fits or errors)[0]) if errors else "it is reasoning without an end"
