"""Family llm: generate text, rank texts by how likely the model finds them, embed texts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from aios_syscalls.base import Effect, Frozen, Many, Reply, Syscall
from aios_syscalls.call_id import PATTERN
from aios_syscalls.json_value import JsonSchema

__all__ = [
    "Chat",
    "ChatReply",
    "Embed",
    "EmbedReply",
    "ExtraFields",
    "FilePart",
    "GiveFeedback",
    "GiveFeedbackReply",
    "ImagePart",
    "LlmCall",
    "Message",
    "NamedTool",
    "Part",
    "Rank",
    "RankReply",
    "Ranked",
    "Sampling",
    "TextPart",
    "ToolSpec",
    "ToolUse",
    "Usage",
]


class ToolUse(Frozen):
    """A model's wish to have a tool called."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = {}


class TextPart(Frozen):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class ImagePart(Frozen):
    """A picture, as the bytes of a file of its media type."""

    type: Literal["image"] = "image"
    media_type: str = Field(pattern=r"^image/[a-z0-9.+-]+$")
    data: bytes = Field(min_length=1)


class FilePart(Frozen):
    """A file, as its bytes."""

    type: Literal["file"] = "file"
    name: str = ""
    media_type: str = "application/octet-stream"
    data: bytes = Field(min_length=1)


Part = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]


class Message(Frozen):
    """One turn of a conversation; a tool's answer names the `ToolUse` that it belongs to."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    """Its text; where there are `parts`, the text of these."""
    parts: Many[Part] = ()
    """The content piece by piece, where it has more than text; what a model cannot take is a BadRequest."""
    tool_uses: Many[ToolUse] = ()
    tool_use_id: str | None = None
    reasoning: str = ""
    """What the model thought before an assistant's turn."""
    generated: bool = False
    """Whether an assistant's text is as a model wrote it (`ChatReply.message`): it need not be read again then."""
    turn: str = Field(default="", max_length=300)
    """The `ChatReply.call` of the reply that an assistant's turn came from: where the model still has the tokens of
    that, it goes on from them, whatever the turn looks like as JSON."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.generated and (self.role != "assistant" or self.tool_uses):
            raise ValueError("only an assistant's plain text can be marked as generated")
        if self.role != "assistant" and (self.turn or self.reasoning):
            raise ValueError("only an assistant's turn can name a reply, or have reasoning")
        if self.parts:
            text = "".join(part.text for part in self.parts if isinstance(part, TextPart))
            if self.content not in ("", text):
                raise ValueError("content is not the text of the parts; leave it out")
            self.__dict__["content"] = text
        return self

    @property
    def attachments(self) -> tuple[ImagePart | FilePart, ...]:
        """The parts that are no text."""
        return tuple(part for part in self.parts if not isinstance(part, TextPart))


class ToolSpec(Frozen):
    """A tool as a model sees it; `parameters` is the JSON Schema of its arguments object."""

    name: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    parameters: JsonSchema = {"type": "object", "properties": {}}


class NamedTool(Frozen):
    """The choice of one tool, which the answer must call."""

    name: str = Field(min_length=1, max_length=128)


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
    """Tokens read and written; of those read, `cached_tokens` had been read before, as far as is told."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    """Whether the server told nothing, and some of it is a guess by length."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: Usage) -> Usage:
        """The sum."""
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            estimated=self.estimated or other.estimated,
        )


def _summary(model: str, usage: Usage) -> dict[str, Any]:
    told = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return {"tokens": usage.completion_tokens, "model": model, "usage": told}


class ChatReply(Reply):
    """A finished answer; `finish` says why it ended, `model` who gave it, `call` is its identity for `GiveFeedback`."""

    text: str
    tool_uses: tuple[ToolUse, ...] = ()
    finish: Literal["stop", "length", "tool_use"] = "stop"
    model: str = ""
    mode: Literal["exact", "throughput"] | None = None
    """Whether the text depends on nothing but the call, to the last bit, or on what else ran; None: not known."""
    usage: Usage = Usage()
    margin: float | None = None
    """How much likelier each token was than the next best, 0 to 1, on average; None: not known."""
    reasoning: str = ""
    """What the model thought before it answered, where it tells; never a part of the text."""
    call: str = ""

    def summary(self) -> dict[str, Any]:
        return _summary(self.model, self.usage)

    @property
    def message(self) -> Message:
        """The reply as a turn of the conversation that goes on."""
        uses = self.tool_uses
        return Message(role="assistant", content=self.text, tool_uses=uses, generated=not uses)


class ExtraFields(Frozen):
    """Fields of a request that the ABI has no name for, as its protocol has them."""

    protocol: Literal["openai", "anthropic"]
    fields: dict[str, JsonValue]


class Chat(Syscall[ChatReply]):
    """Continue a conversation."""

    name: ClassVar[str] = "llm.chat"
    effect: ClassVar[Effect] = Effect.PURE

    messages: Many[Message] = Field(min_length=1)
    tools: Many[ToolSpec] = ()
    tool_choice: Literal["auto", "required", "none"] | NamedTool = "auto"
    parallel_tool_calls: bool = True
    """Whether one answer may call several tools; else it calls one at most."""
    response_schema: JsonSchema | None = None
    """JSON Schema that the text must satisfy."""
    grammar: str | None = Field(default=None, min_length=1)
    """GBNF grammar, with a rule `root`, that the text must follow; not together with a schema."""
    sampling: Sampling = Sampling()
    stop: Many[str] = Field(default=(), max_length=16)
    """The text ends before the first of these."""
    max_tokens: int = Field(default=256, ge=1, lt=2**31)
    truncate: bool = False
    """Leave out the oldest messages, system messages excepted, when the context cannot hold all and the answer."""
    cache_salt: str = Field(default="", max_length=256)
    """Only calls of one salt share what was read before: others cannot tell from the time it takes."""
    model: str | None = None
    """A model's name; None lets the router choose."""
    local_only: bool = False
    """Let no model serve this that is not on this machine."""
    extra: ExtraFields | None = None
    """What else a client's request says, for a server that speaks the same protocol; others never see it."""

    @field_validator("grammar")
    @classmethod
    def _alone(cls, grammar: str | None, info: ValidationInfo) -> str | None:
        if grammar is not None and info.data.get("response_schema") is not None:
            raise ValueError("a grammar leaves no room for a response_schema; drop one of them")
        return grammar


MAX_TEXTS = 256


class EmbedReply(Reply):
    """A vector of length 1 for each text, of `dimension` numbers, and who made them.

    Vectors of different models have nothing to do with each other.
    """

    vectors: tuple[tuple[float, ...], ...]
    dimension: int
    model: str
    usage: Usage = Usage()

    def summary(self) -> dict[str, Any]:
        return _summary(self.model, self.usage)


class Embed(Syscall[EmbedReply]):
    """Turn texts into vectors whose inner products tell how near they are in meaning."""

    name: ClassVar[str] = "llm.embed"
    effect: ClassVar[Effect] = Effect.PURE

    texts: Many[Annotated[str, Field(min_length=1)]] = Field(min_length=1, max_length=MAX_TEXTS)
    truncate: bool = False
    """Embed the beginning of a text that is too long; else it is a BadRequest."""
    model: str | None = None
    """A model's name; None takes the first that embeds."""
    local_only: bool = False
    """As in `Chat`."""


class Ranked(Frozen):
    """What a model thinks of one option.

    `log_likelihood` is the natural logarithm of its probability, from the first token on in which the options differ,
    or that of the evidence after it; `score` is that minus its mean over the neutral texts.
    """

    option: str
    log_likelihood: float
    score: float


class RankReply(Reply):
    """The options in the order of the call; `best` is the index of the largest score."""

    options: tuple[Ranked, ...]
    best: int
    model: str = ""
    usage: Usage = Usage()

    def summary(self) -> dict[str, Any]:
        return _summary(self.model, self.usage)

    @property
    def choice(self) -> str:
        """The best option."""
        return self.options[self.best].option


class Rank(Syscall[RankReply]):
    """Compare texts that the answer to a conversation may go on with.

    With `evidence`, an option is as good as it makes that text likely, not as it is likely itself: the noisy channel
    (Min et al. 2022, Noisy Channel Language Model Prompting for Few-Shot Text Classification).

    A small model has a liking for some words whatever it is asked. So each likelihood is set against those after
    questions that say nothing: domain-conditional pointwise mutual information (Holtzman et al. 2021, Surface Form
    Competition), over several content-free inputs (Zhao et al. 2021, Calibrate Before Use).
    """

    name: ClassVar[str] = "llm.rank"
    effect: ClassVar[Effect] = Effect.PURE

    messages: Many[Message] = Field(min_length=1)
    tools: Many[ToolSpec] = ()
    """As in `Chat`: what the model is told of before it answers."""
    prefix: str = ""
    """What the answer begins with."""
    options: Many[Annotated[str, Field(min_length=1)]] = Field(min_length=2, max_length=64)
    """An option that another one begins with is the likelier of the two by nature: end them alike, say with a quote."""
    evidence: str = ""
    """What comes after each option."""
    neutral: Many[str] = Field(default=(), max_length=8)
    """Replacements for the evidence, or without one for the last user message's content, that ask nothing, such as
    "N/A"; none means no calibration."""
    cache_salt: str = Field(default="", max_length=256)
    """As in `Chat`."""
    model: str | None = None
    """A model's name; None lets the router choose."""
    local_only: bool = False
    """As in `Chat`."""

    @field_validator("options")
    @classmethod
    def _differ(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(options)) < len(options):
            raise ValueError("two options are the same; leave one out")
        return options

    @field_validator("neutral")
    @classmethod
    def _replaceable(cls, neutral: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        replaceable = info.data.get("evidence") or any(each.role == "user" for each in info.data.get("messages", ()))
        if neutral and not replaceable:
            raise ValueError("there is no user message to replace; add one, or leave out the calibration")
        return neutral


class GiveFeedbackReply(Reply):
    """The score has been learnt from."""


class GiveFeedback(Syscall[GiveFeedbackReply]):
    """Say how good the answer to an earlier chat of one's own was; the router learns from it."""

    name: ClassVar[str] = "llm.feedback"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT

    answered: str = Field(pattern=PATTERN, max_length=300)
    """The chat, as PID.N: `ChatReply.call`."""
    score: float = Field(ge=0, le=1)
    """From 0, useless, to 1, as good as can be."""


LlmCall = Chat | Embed | Rank
"""What a model serves."""
