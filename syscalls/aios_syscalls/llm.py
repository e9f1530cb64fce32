"""Family llm: generate text, embed texts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from aios_syscalls.base import Effect, Frozen, Reply, Syscall


class ToolUse(Frozen):
    """A model's wish to have a tool called."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = {}


class Message(Frozen):
    """One turn of a conversation; a tool's answer names the `ToolUse` that it belongs to."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    tool_use_id: str | None = None
    generated: bool = False
    """Whether an assistant's text is as a model wrote it (`ChatReply.message`): it need not be read again then."""

    @model_validator(mode="after")
    def _only_replies_are_generated(self) -> Self:
        if self.generated and (self.role != "assistant" or self.tool_uses):
            raise ValueError("only an assistant's plain text can be marked as generated")
        return self


class ToolSpec(Frozen):
    """A tool as a model sees it; `parameters` is the JSON Schema of its arguments object."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    parameters: dict[str, Any] = {"type": "object", "properties": {}}


class Sampling(Frozen):
    """How the next token is drawn; temperature 0 is greedy. With a seed, equal calls give equal text."""

    temperature: float = Field(default=0.0, ge=0, le=5)
    top_k: int = Field(default=40, ge=0)
    """Keep the k likeliest tokens; 0 keeps all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repeat_penalty: float = Field(default=1.0, ge=0.5, le=3)
    """Divides the positive logits of the last 64 tokens, multiplies their negative ones; 1 is off."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)


class Usage(Frozen):
    """Tokens read and written."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatReply(Reply):
    """A finished answer; `finish` says why it ended, `model` who gave it."""

    text: str
    tool_uses: tuple[ToolUse, ...] = ()
    finish: Literal["stop", "length", "tool_use"] = "stop"
    model: str = ""
    mode: Literal["exact", "throughput"] | None = None
    """Whether the text depends on nothing but the call, to the last bit, or on what else ran; None: not known."""
    usage: Usage = Usage()

    @property
    def message(self) -> Message:
        """The reply as a turn of the conversation that goes on."""
        uses = self.tool_uses
        return Message(role="assistant", content=self.text, tool_uses=uses, generated=not uses)


class Chat(Syscall[ChatReply]):
    """Continue a conversation."""

    name: ClassVar[str] = "llm.chat"
    effect: ClassVar[Effect] = Effect.PURE

    messages: tuple[Message, ...] = Field(min_length=1)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: Literal["auto", "required", "none"] = "auto"
    response_schema: dict[str, Any] | None = None
    """JSON Schema that the text must satisfy."""
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = Field(default=(), max_length=16)
    """The text ends before the first of these."""
    max_tokens: int = Field(default=256, ge=1)
    truncate: bool = False
    """Leave out the oldest messages, system messages excepted, when the context cannot hold all and the answer."""
    cache_salt: str = Field(default="", max_length=256)
    """Only calls of one salt share what was read before: others cannot tell from the time it takes."""
    model: str | None = None
    """A model's name; None lets the router choose."""


MAX_TEXTS = 256


class EmbedReply(Reply):
    """A vector of length 1 for each text, of `dimension` numbers, and who made them.

    Vectors of different models have nothing to do with each other.
    """

    vectors: tuple[tuple[float, ...], ...]
    dimension: int
    model: str
    usage: Usage = Usage()


class Embed(Syscall[EmbedReply]):
    """Turn texts into vectors whose inner products tell how near they are in meaning."""

    name: ClassVar[str] = "llm.embed"
    effect: ClassVar[Effect] = Effect.PURE

    texts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1, max_length=MAX_TEXTS)
    truncate: bool = False
    """Embed the beginning of a text that is too long; else it is a BadRequest."""
    model: str | None = None
    """A model's name; None takes the first that embeds."""


LlmCall = Chat | Embed
