"""What odd but real model servers send, and what is right to make of it.

Each is seen in bug reports of client libraries: vLLM, SGLang, llama-server, Ollama, LM Studio, OpenRouter, Azure, Groq,
Mistral, DeepSeek, Gemini's and xAI's endpoints, Together, Fireworks, Moonshot, MiniMax, DashScope, gateways like LiteLLM.
"""
# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import base64
import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

from aios_syscalls import ToolUse, Usage
from tests.models.remote.fault_server import LAST_CHUNK, STREAM, UNFRAMED, answer, chunked, events, head

Json = dict[str, Any]

TOOLS = ("add", "now", "get_weather", "get")
USAGE = {"prompt_tokens": 7, "completion_tokens": 2}
COUNTED = Usage(prompt_tokens=7, completion_tokens=2)
BOM = b"\xef\xbb\xbf"
ADD = ToolUse(id="a", name="add", arguments={"x": 1})


@dataclass(frozen=True)
class Odd:
    """A case: `sends` is the whole response; what comes of it is either all that is right, or an error that says `why`."""

    name: str
    sends: bytes
    text: str = "Hello"
    reasoning: str = ""
    uses: tuple[ToolUse, ...] = ()
    finish: str = "stop"
    usage: Usage | None = None
    """None where nothing is told, so that it is estimated."""
    why: str = ""
    data: Json = field(default_factory=dict)
    protocol: Literal["openai", "anthropic"] = "openai"
    stream: bool = True
    tools: tuple[str, ...] = TOOLS
    emitted: str | None = None
    """What was said before it was known to be reasoning; None where that is the text."""


# -- OpenAI's wire


def delta(content: Any = None, finish: Any = None, **more: Any) -> Json:
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}]}


def message(content: Any = None, finish: Any = "stop", **more: Any) -> Json:
    return {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}]
    }


def raw(body: bytes, *headers: str) -> bytes:
    """A stream's bytes in chunked framing."""
    start = head(200, *(headers or ("Content-Type: text/event-stream",)), "Transfer-Encoding: chunked")
    return start + chunked(body) + LAST_CHUNK


def sse(*payloads: Json | str) -> bytes:
    return raw(events(*payloads))


def whole(body: Json | bytes | str, *headers: str) -> bytes:
    return answer(200, body, *headers)


HEL, LO, STOP, DONE = delta("Hel"), delta("lo"), delta(finish="stop"), "[DONE]"
COUNT = {"choices": [], "usage": USAGE}
GOOD = events(HEL, LO, STOP, COUNT, DONE)
WHOLE = message("Hello") | {"usage": USAGE}


def lines(*parts: str, end: str = "\n") -> bytes:
    return (end.join(parts) + end).encode()


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FRAMING = (
    Odd("a byte order mark leads the stream", raw(BOM + GOOD), usage=COUNTED),
    Odd("a byte order mark and a blank line lead the stream", raw(BOM + b"\n\n" + GOOD), usage=COUNTED),
    Odd("a byte order mark in three chunks", STREAM + chunked(BOM, 1) + chunked(GOOD) + LAST_CHUNK, usage=COUNTED),
    Odd("blank lines lead the stream", raw(b"\r\n\n\n" + GOOD), usage=COUNTED),
    Odd("lines end in CR", raw(GOOD.replace(b"\n", b"\r")), usage=COUNTED),
    Odd("lines end in CR LF", raw(GOOD.replace(b"\n", b"\r\n")), usage=COUNTED),
    Odd("CR LF is split between chunks", STREAM + chunked(GOOD.replace(b"\n", b"\r\n"), 1) + LAST_CHUNK, usage=COUNTED),
    Odd("CR is alone at the ends of chunks", STREAM + chunked(GOOD.replace(b"\n", b"\r"), 1) + LAST_CHUNK, usage=COUNTED),
    Odd("line ends are mixed", raw(GOOD.replace(b"\n\n", b"\r\n\r", 1).replace(b"\n\n", b"\n\r\n", 1).replace(b"\n\n", b"\r\r", 1)), usage=COUNTED),
    Odd("comments between and within events", raw(b": OPENROUTER PROCESSING\n\n" + GOOD.replace(b"\n\n", b"\n:\n\n: x\n\n")), usage=COUNTED),
    Odd("no blank after data:", raw(GOOD.replace(b"data: ", b"data:")), usage=COUNTED),
    Odd("two blanks after data:", raw(GOOD.replace(b"data: ", b"data:  ")), usage=COUNTED),
    Odd("event, id and retry lines", raw(GOOD.replace(b"data: ", b"event: message\nid: 7\nretry: 10\ndata: ")), usage=COUNTED),
    Odd("fields without a colon", raw(b"retry\nid\nfoo\n\n" + GOOD), usage=COUNTED),
    Odd("fields that nobody knows", raw(GOOD.replace(b"data: ", b"time: 3\nDATA: x\ndata: ")), usage=COUNTED),
    Odd("events without data", raw(b"event: ping\n\nid: 3\n\n" + GOOD), usage=COUNTED),
    Odd("events with empty data", raw(b"data:\n\ndata: \n\n" + GOOD.replace(b"\n\n", b"\n\nevent: ping\ndata:\n\n")), usage=COUNTED),
    Odd("a chunk's JSON over several lines", raw(GOOD.replace(b', "finish', b',\ndata: "finish')), usage=COUNTED),
    Odd("no blank lines between events", raw(GOOD.replace(b"\n\n", b"\n")), usage=COUNTED),
    Odd("no blank lines between events, with event lines", raw(GOOD.replace(b"\n\n", b"\n").replace(b"data:", b"event: x\ndata:")), usage=COUNTED),
    Odd("no blank lines between events, and nobody vouches", UNFRAMED + GOOD.replace(b"\n\n", b"\n") + b"\n", usage=COUNTED),
    Odd("no blank lines between events, and an error", raw(events(HEL).replace(b"\n\n", b"\n") + b"event: error\ndata: no room\n"), why="reported an error: no room"),
    Odd("a sign of life without a blank line", raw(GOOD.replace(b"data: ", b"data: ping\ndata: ")), usage=COUNTED),
    Odd("no blank lines between chunks that are cut", raw(events(HEL, '{"choices":[', LO, STOP).replace(b"\n\n", b"\n")), why="cut off; try again; at last: its answer is not a chat completion: the body: Invalid JSON"),
    Odd("a chunk a line, without events", whole("\n".join(map(dumped, (HEL, LO, STOP, COUNT))), "Content-Type: application/x-ndjson"), usage=COUNTED),
    Odd("a chunk a line, as JSON", raw("\r\n\r\n".join(map(dumped, (HEL, LO, STOP, COUNT))).encode(), "Content-Type: application/json"), usage=COUNTED),
    Odd("a chunk a line, without an end", whole("\n".join(map(dumped, (HEL, LO)))), why="cut off"),
    Odd("no blank line at the end", raw(GOOD[:-1]), usage=COUNTED),
    Odd("no line end at the end", raw(GOOD[:-2]), usage=COUNTED),
    Odd("the last chunk lacks its blank line, in whole framing", raw(events(HEL, LO, STOP)[:-2])),
    Odd("the last chunk lacks its blank line, and nobody vouches", UNFRAMED + events(HEL, LO, STOP)[:-1], why="cut off"),
    Odd("characters are cut between chunks", STREAM + chunked(events(delta("Grüße 世🙂"), STOP), 1) + LAST_CHUNK, text="Grüße 世🙂"),
    Odd("junk after [DONE]", raw(GOOD + b"data: {nonsense\n\n\xff\xfe<html>"), usage=COUNTED),
    Odd("[DONE] within junk", sse(HEL, LO, STOP, "[DONE] bye")),
    Odd("[done] in small letters", sse(HEL, LO, "[done]")),
    Odd("[DONE] quoted", sse(HEL, LO, '"[DONE]"')),
    Odd("DONE without brackets", sse(HEL, LO, "DONE")),
    Odd("[DONE] twice", sse(HEL, LO, STOP, DONE, DONE)),
    Odd("a whole body with a byte order mark", whole(BOM + dumped(WHOLE).encode()), stream=False, usage=COUNTED),
    Odd("a whole body with blanks around", whole(" \n\r\n\t" + dumped(WHOLE) + "\n\n"), stream=False, usage=COUNTED),
    Odd("a whole body with keep-alive line ends first", whole("\n" * 5000 + dumped(WHOLE)), stream=False, usage=COUNTED),
    Odd("a whole body with raw control characters", whole(dumped(message("a\nb\tc")).replace("\\n", "\n").replace("\\t", "\t")), text="a\nb\tc", stream=False),
    Odd("a whole body of two texts", whole(dumped(WHOLE) + dumped(WHOLE)), stream=False, why="Invalid JSON"),
    Odd("a whole body in a list of one", whole(dumped([WHOLE])), stream=False, usage=COUNTED),
)  # fmt: skip

CONTENT_TYPE = (
    Odd("a stream without a Content-Type", raw(GOOD, "X-A: 1"), usage=COUNTED),
    Odd("a stream as text/plain", raw(GOOD, "Content-Type: text/plain"), usage=COUNTED),
    Odd("a stream as application/json", raw(GOOD, "Content-Type: application/json"), usage=COUNTED),
    Odd("a stream as application/octet-stream, comment first", raw(b": hi\n\n" + GOOD, "Content-Type: application/octet-stream"), usage=COUNTED),
    Odd("a stream as x-ndjson, event line first", raw(b"event: x\n" + GOOD, "Content-Type: application/x-ndjson"), usage=COUNTED),
    Odd("a stream in another spelling of the type", raw(GOOD, "content-type:TEXT/EVENT-STREAM;charset=UTF-8"), usage=COUNTED),
    Odd("a stream to a call that asked for one piece", raw(GOOD), stream=False, usage=COUNTED),
    Odd("one piece to a call that asked for a stream", whole(WHOLE), usage=COUNTED),
    Odd("one piece as text/event-stream", whole(dumped(WHOLE), "Content-Type: text/event-stream"), usage=COUNTED),
    Odd("one piece without a Content-Type", whole(dumped(WHOLE)), stream=False, usage=COUNTED),
    Odd("one piece as text/html", whole(dumped(WHOLE), "Content-Type: text/html"), stream=False, usage=COUNTED),
    Odd("a page instead of a stream", whole("<html>Sign in</html>", "Content-Type: text/event-stream"), why="begins with '<html>Sign in"),
    Odd("a page instead of one piece", whole("<html>Sign in</html>"), stream=False, why="begins with '<html>Sign in"),
    Odd("plain words instead of an answer", whole("upstream timed out"), stream=False, why="upstream timed out"),
    Odd("a stream of first bytes one by one", head(200, "Transfer-Encoding: chunked") + chunked(GOOD, 1) + LAST_CHUNK, usage=COUNTED),
)  # fmt: skip

PARTIAL = {"index": 0, "delta": {"content": "Hello"}}

SIGNS = ("null", '"ping"', "5", "keep-alive", "true", "[]", "[ping]", "keep\ndata: alive")

NOTHING_SAID = (
    Odd("a chunk without choices", sse(HEL, {"id": "x"}, LO, STOP, {"id": "x", "object": "chat.completion.chunk"})),
    Odd("a chunk with choices null", sse({"choices": None}, HEL, LO, STOP, {"choices": None, "usage": USAGE}), usage=COUNTED),
    Odd("empty objects", sse({}, HEL, {}, LO, STOP, {})),
    Odd("empty choices first, as Azure's filter results", sse({"choices": [], "prompt_filter_results": [{}]}, HEL, LO, STOP)),
    Odd("a ping as a chunk", sse(HEL, {"type": "ping"}, LO, STOP)),
    Odd("a ping with words", sse(HEL, {"type": "ping", "message": "still here"}, LO, STOP)),
    *(Odd(f"a sign of life {sign}", sse(HEL, sign, LO, sign, STOP, sign, DONE)) for sign in SIGNS),
    *(Odd(f"a sign of life {sign} first", sse(sign, WHOLE), usage=COUNTED) for sign in SIGNS),
    *(Odd(f"nothing but {sign}", sse(sign, DONE), why="its answer is not a chat completion: the body: ") for sign in SIGNS),
    Odd("words that cut an answer off", sse(HEL, "out of memory"), why="was cut off; try again; at last: its answer is not a chat completion"),
    Odd("half an object between chunks", sse(HEL, '{"choices":', LO, STOP), why="Invalid JSON"),
    Odd("a choice that is null", sse(HEL, {"choices": [None]}, LO, STOP)),
    Odd("a choice without a delta", sse(HEL, {"choices": [{"index": 0, "finish_reason": None}]}, LO, {"choices": [{"finish_reason": "stop"}]})),
    Odd("a delta that is null", sse(HEL, {"choices": [{"index": 0, "delta": None}]}, LO, STOP)),
    Odd("an index that is missing, null or text", sse({"choices": [PARTIAL | {"index": None}]}, {"choices": [PARTIAL | {"index": "0"}]}, STOP), text="HelloHello"),
    Odd("another choice beside", sse(HEL, {"choices": [{"index": 1, "delta": {"content": "no"}}]}, LO, STOP)),
    Odd("error: null in each chunk", sse(HEL | {"error": None}, LO | {"error": ""}, STOP | {"error": {}})),
    Odd("an error of code 0 without words", sse(HEL, LO | {"error": {"code": 0, "message": ""}}, STOP)),
    Odd("a body with all side fields missing", whole({"choices": [{"message": {"content": "Hello"}}]}), stream=False),
    Odd("a body with all side fields null", whole({"id": None, "object": None, "created": None, "model": None, "usage": None, "choices": [{"index": None, "message": {"role": None, "content": "Hello", "tool_calls": None, "function_call": None, "refusal": None, "annotations": None}, "logprobs": None, "finish_reason": None}]}), stream=False),
    Odd("a body with side fields of other types", whole(WHOLE | {"id": 7, "created": "now", "model": [], "object": {}, "service_tier": 3}), stream=False, usage=COUNTED),
    Odd("text beside choices' message, as of old", whole({"choices": [{"text": "Hello", "finish_reason": "stop"}]}), stream=False),
    Odd("the whole message again at the end, as MiniMax", sse(HEL, LO, message("Hello") | {"object": "chat.completion"})),
    Odd("the whole message again with its <think>", sse(delta("<think>hm</think>Hel"), LO, message("<think>hm</think>Hello")), reasoning="hm"),
    Odd("the whole message again without its <think>", sse(delta("<think>hm</think>Hel"), LO, message("Hello", reasoning="hm")), reasoning="hm"),
    Odd("the rest in a message", sse(HEL, message("Hello"))),
    Odd("the whole message in a stream", sse(WHOLE, DONE), usage=COUNTED),
    Odd("likelihoods of other shapes", sse({"choices": [{"delta": {"content": "Hello"}, "logprobs": {"tokens": ["a"], "content": [None, {"logprob": None}, {"top_logprobs": "x"}]}}]}, STOP)),
    Odd("a likelihood that is NaN", raw(b'data: {"choices":[{"delta":{"content":"Hello"},"logprobs":{"content":[{"logprob":NaN}]},"finish_reason":"stop"}]}\n\n')),
    Odd("a body without choices", whole({"answer": 42}), stream=False, why="choices: Field required"),
    Odd("choices that are no list", whole({"choices": {"a": 1}}), stream=False, why="choices: Input should be a valid list"),
    Odd("a delta that is text", sse({"choices": [{"delta": "Hel"}]}, {"choices": [{"delta": "lo"}]}, STOP)),
    Odd("a delta that is a number", sse({"choices": [{"delta": 7}]}, STOP), why="choices.0.delta: Input should be"),
    Odd("a choice that is text", sse({"choices": ["Hello"]}, STOP), why="choices: Input should be a list of objects"),
    Odd("content that is a number", sse(delta(42), STOP), why="choices.0.delta.content: Input should be a valid string"),
    Odd("content that is a truth value", whole(message(True)), stream=False, why="choices.0.message.content"),
    Odd("calls that are no list", sse(delta(tool_calls="add"), STOP), why="choices.0.delta.tool_calls"),
    Odd("nothing but [DONE]", sse(DONE), why="cut off"),
    Odd("nothing at all", sse(), why="cut off"),
)  # fmt: skip


def counted(usage: Any) -> bytes:
    return sse(HEL, LO, STOP, {"choices": [], "usage": usage}, DONE)


USAGES = (
    Odd("counts that are null", counted({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None})),
    Odd("counts that are floats", counted({"prompt_tokens": 7.0, "completion_tokens": 2.0}), usage=COUNTED),
    Odd("counts that are text", counted({"prompt_tokens": "7", "completion_tokens": "2"}), usage=COUNTED),
    Odd("counts below 0", counted({"prompt_tokens": -1, "completion_tokens": -1})),
    Odd("counts that are NaN", sse(HEL, LO, STOP, '{"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}')),
    Odd("counts beyond belief", counted({"prompt_tokens": 10**30, "completion_tokens": 2}), usage=Usage(completion_tokens=2)),
    Odd("counts under the other protocol's names", counted({"input_tokens": 7, "output_tokens": 2}), usage=COUNTED),
    Odd("a total without the prompt", counted({"total_tokens": 9, "completion_tokens": 2}), usage=COUNTED),
    Odd("details that are null", counted(USAGE | {"prompt_tokens_details": None, "completion_tokens_details": None}), usage=COUNTED),
    Odd("cached tokens", counted(USAGE | {"prompt_tokens_details": {"cached_tokens": 3.0}}), usage=Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=3)),
    Odd("usage that is a list", counted([1, 2])),
    Odd("usage in the choice, as Moonshot", sse(HEL, LO, {"choices": [{"delta": {}, "finish_reason": "stop", "usage": USAGE}]}), usage=COUNTED),
    Odd("usage in x_groq", sse(HEL, LO, STOP | {"x_groq": {"id": "r", "usage": USAGE}}), usage=COUNTED),
    Odd("usage of each chunk", sse(HEL | {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}, LO, STOP | {"usage": USAGE}, {"usage": {}}), usage=COUNTED),
)  # fmt: skip


def ended(named: Any, **more: Any) -> Odd:
    return Odd(f"finish reason {named!r}", sse(HEL, LO, delta(finish=named), DONE), **more)


FINISHES = (
    *(ended(named) for named in ("STOP", "end_turn", "eos", "eos_token", "stop_sequence", "COMPLETE", "stop_str", "completed", "OTHER", "finished", "x" * 100, True, {"type": "stop"}, 1)),
    *(ended(named, finish="length") for named in ("length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "token_limit", "max_length", "LENGTH", "truncated")),
    *(ended(named, why="gave up on the answer") for named in ("content_filter", "content-filter", "SAFETY", "error", "ERROR_TOXIC", "RECITATION", "abort", "cancelled", "insufficient_system_resource", "network_error", "sensitive", "MALFORMED_FUNCTION_CALL", "PROHIBITED_CONTENT", "guardrail_intervened", "function_call_filter: BLOCKED", "pause_turn")),
    *(Odd(f"{named!r} in each chunk before the last", sse(delta("Hel", named), delta("lo", named), STOP)) for named in ("", "null", "None", False)),
    Odd("[DONE] without a finish reason", sse(HEL, LO, DONE)),
    Odd("stop in each chunk", sse(delta("Hel", "stop"), delta("lo", "stop"), DONE)),
    Odd("stop in each chunk, and a clean end", sse(delta("Hel", "stop"), delta("lo", "stop"))),
    Odd("stop in each chunk, and a connection that breaks", STREAM + chunked(events(delta("Hel", "stop"), delta("lo", "stop"), delta("x", "stop"))), why="broke off"),
    Odd("an end without [DONE] and finish reason", sse(HEL, LO), why="cut off"),
    Odd("one piece without a finish reason", whole(message("Hello", None)), stream=False),
    Odd("one piece with a foreign finish reason", whole(message("Hello", "STOP")), stream=False),
    Odd("one piece that was filtered", whole(message("Hel", "content_filter")), stream=False, why="content_filter"),
    Odd("one piece with length", whole(message("Hello", "MAX_TOKENS")), stream=False, finish="length"),
    Odd("finish_details instead", sse(HEL, LO, {"choices": [{"delta": {}, "finish_details": {"type": "stop", "stop": "<|im_end|>"}}]})),
)  # fmt: skip

# -- calls of tools


def part(index: Any, id: Any, name: Any, arguments: Any) -> Json:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not ...}
    return {key: value for key, value in (("index", index), ("id", id)) if value is not ...} | {
        "type": "function",
        "function": function,
    }


def called(*chunks: Json | list[Json], finish: Any = "tool_calls") -> bytes:
    return sse(
        *(delta(tool_calls=chunk if isinstance(chunk, list) else [chunk]) for chunk in chunks),
        delta(finish=finish),
        DONE,
    )


def calling(*calls: Json, finish: Any = "tool_calls") -> bytes:
    return whole(message(None, finish, tool_calls=list(calls)))


def use(name: str, id: str = "call_0", /, **arguments: Any) -> ToolUse:
    return ToolUse(id=id, name=name, arguments=arguments)


def calls(name: str, sends: bytes, *uses: ToolUse, **more: Any) -> Odd:
    return Odd(name, sends, text="", uses=uses, finish="tool_use", **more)


BLANK: tuple[Any, ...] = (None, "", " \n", "null", "{}", "None", '""', "[]", " [ ]", '"[]"', [], ...)
BLANK_WHOLE: tuple[Any, ...] = (None, "", "null", {}, "[]", [], ...)
BLANK_INPUT: tuple[Any, ...] = (None, "", "null", {}, "[]", [])
X1 = '{"x":1}'
X2 = '{"x":2}'
ONE, TWO = use("add", x=1), use("add", "call_1", x=2)
NOW = use("now", "call_1")

CALLS = (
    calls("two calls at index 0 with empty ids", called(part(0, "", "add", X1), part(0, "", "add", X2)), ONE, TWO),
    calls("two calls without index and id", called(part(..., ..., "add", X1), part(..., ..., "now", "{}")), ONE, NOW),
    calls("two calls without index and id in one chunk", called([part(..., ..., "add", X1), part(..., ..., "now", "")]), ONE, NOW),
    calls("two calls at index 0 with ids", called(part(0, "a", "add", X1), part(0, "b", "add", X2)), ADD, use("add", "b", x=2)),
    calls("three calls at index 0, arguments in pieces", called(part(0, "", "add", '{"x"'), part(0, "", ..., ":1}"), part(0, "", "add", ""), part(0, "", ..., X2), part(0, None, "now", "")), ONE, TWO, use("now", "call_2")),
    calls("two calls of tools without parameters at index 0", called(part(0, "a", "now", ""), part(0, "b", "get", "")), use("now", "a"), use("get", "b")),
    calls("a new id in each chunk", called(part(0, "a", "add", ""), part(0, "b", None, '{"x"'), part(0, "c", ..., ":1}")), ADD),
    calls("a new id and the name in each chunk", called(part(0, "a", "add", ""), part(0, "b", "add", '{"x"'), part(0, "c", "add", ":1}")), ADD),
    calls("a new id and no index in each chunk", called(part(..., "a", "add", ""), part(..., "b", "", '{"x"'), part(..., "c", "", ":1}")), ADD),
    calls("the name in each chunk", called(part(0, "a", "add", '{"x"'), part(0, "a", "add", ":1"), part(0, "a", "add", "}")), ADD),
    calls("the name alone after the call", called(part(0, "a", "add", X1), part(0, "b", "add", "")), ADD),
    calls("a name in pieces", called(part(0, "a", "get_", ""), part(0, None, "weat", ""), part(0, None, "her", ""), part(0, None, None, X1)), use("get_weather", "a", x=1)),
    calls("a name that grows", called(part(0, "a", "get_w", ""), part(0, "a", "get_weather", ""), part(0, "a", "get_weather", X1)), use("get_weather", "a", x=1)),
    calls("a name in pieces whose first is a tool as well", called(part(0, "a", "get", ""), part(0, None, "_weather", ""), part(0, None, None, X1)), use("get_weather", "a", x=1)),
    calls("a name after an empty one", called(part(0, "a", "", ""), part(0, None, "add", X1)), ADD),
    calls("a name with blanks around", called(part(0, "a", " add\n", X1)), ADD),
    calls("an index off by one after the head", called(part(0, "a", "add", ""), part(1, None, None, X1)), ADD),
    calls("an index as text", called(part("0", "a", "add", '{"x"'), part("0", None, None, ":1}")), ADD),
    calls("an index in the head alone", called(part(0, "a", "add", '{"x"'), part(..., ..., ..., ":1}")), ADD),
    calls("interleaved calls", called([part(0, "a", "add", '{"x"'), part(1, "b", "add", '{"x"')], [part(1, ..., ..., ":2}"), part(0, ..., ..., ":1}")]), ADD, use("add", "b", x=2)),
    calls("interleaved calls told by their ids", called(part(..., "a", "add", '{"x"'), part(1, "b", "add", '{"x"'), part(..., "a", ..., ":1}"), part(..., "b", ..., ":2}")), ADD, use("add", "b", x=2)),
    calls("one id for all, indexes differ", called(part(0, "a", "add", X1), part(1, "a", "add", X2)), ADD, use("add", "call_1", x=2)),
    calls("an id of a million characters", called(part(0, "a" * 10**6, "add", X1)), ONE),
    calls("an id with a signature in it", called(part(0, "a" * 3000, "add", X1)), use("add", "a" * 3000, x=1)),
    calls("ids that are numbers", called(part(0, 7, "add", X1)), use("add", "7", x=1)),
    calls("ids that are null as text", called(part(0, "null", "add", X1)), ONE),
    calls("arguments {} first, then the arguments", called(part(0, "a", "add", "{}"), part(0, None, None, '{"x"'), part(0, None, None, ":1}")), ADD),
    calls("arguments [] first, then the arguments", called(part(0, "a", "add", "[]"), part(0, None, None, X1)), ADD),
    calls("arguments null first, then the arguments", called(part(0, "a", "add", "null"), part(0, None, None, X1)), ADD),
    calls("arguments as an object", called(part(0, "a", "add", {"x": 1})), ADD),
    calls("arguments as an object, in one piece", calling(part(..., "a", "add", {"x": 1})), ADD, stream=False),
    calls("arguments as text in text", called(part(0, "a", "add", json.dumps(X1))), ADD),
    calls("arguments with blanks around", called(part(0, "a", "add", f"\n {X1} \n")), ADD),
    calls("arguments with raw line ends", called(part(0, "a", "add", '{"x":"a\nb"}')), use("add", "a", x="a\nb")),
    *(calls(f"arguments {blank!r}", called(part(0, "a", "now", blank)), use("now", "a")) for blank in BLANK),
    *(calls(f"arguments {blank!r}, in one piece", calling(part(..., "a", "now", blank)), use("now", "a"), stream=False) for blank in BLANK_WHOLE),
    calls("a call without type and id", whole(message(None, "tool_calls", tool_calls=[{"function": {"name": "now"}}])), use("now"), stream=False),
    calls("a call without a function around it", whole(message(None, "tool_calls", tool_calls=[{"id": "a", "name": "add", "arguments": X1}])), ADD, stream=False),
    calls("a call that is not in a list", sse(delta(tool_calls=part(0, "a", "add", X1)), delta(finish="tool_calls")), ADD),
    calls("calls sent twice in one piece", calling(part(..., "a", "add", X1), part(..., "a", "add", X1)), ADD, stream=False),
    calls("two calls of one id in one piece", calling(part(..., "a", "add", X1), part(..., "a", "add", X2)), ADD, use("add", "call_1", x=2), stream=False),
    calls("two calls without ids in one piece", calling(part(0, ..., "add", X1), part(0, ..., "add", X2)), ONE, TWO, stream=False),
    calls("finish stop", called(part(0, "a", "add", X1), finish="stop"), ADD),
    calls("finish STOP", called(part(0, "a", "add", X1), finish="STOP"), ADD),
    calls("no finish but [DONE]", sse(delta(tool_calls=[part(0, "a", "add", X1)]), DONE), ADD),
    calls("the older function_call", sse(delta(function_call={"name": "add", "arguments": '{"x"'}), delta(function_call={"arguments": ":1}"}), delta(finish="function_call")), ONE),
    calls("the older function_call in one piece", whole(message(None, "function_call", function_call={"name": "add", "arguments": X1})), ONE, stream=False),
    calls("both forms at once", whole(message(None, "tool_calls", tool_calls=[part(..., "a", "add", X1)], function_call={"name": "add", "arguments": X1})), ADD, stream=False),
    calls("the whole message after the pieces", sse(delta(tool_calls=[part(0, "a", "add", X1)]), message(None, "tool_calls", tool_calls=[part(0, "a", "add", X1)])), ADD),
    calls("a null among the calls", called([None, part(0, "a", "add", X1)]), ADD),  # type: ignore[list-item]
    Odd("text beside a call", sse(delta("Hello"), delta(tool_calls=[part(0, "a", "add", X1)]), delta(finish="tool_calls")), uses=(ADD,), finish="tool_use"),
    Odd("an empty list of calls", sse(delta("Hello", tool_calls=[]), STOP)),
    Odd("calls null in each chunk", sse(delta("Hello", tool_calls=None, function_call=None), STOP)),
    Odd("a tool that was not offered", called(part(0, "a", "rm", "{}")), why="called tool 'rm', but the tools that were offered are: add, get, get_weather, now"),
    Odd("a tool that was not offered, in one piece", calling(part(0, "a", "rm", "{}")), stream=False, why="called tool 'rm'"),
    Odd("a tool where none was offered", called(part(0, "a", "add", X1)), tools=(), why="called tool 'add', but the tools that were offered are: none"),
    Odd("a name between two tools'", called(part(0, "a", "get_we", X1)), why="called tool 'get_we'"),
    Odd("another spelling of a tool", called(part(0, "a", "ADD", X1)), why="called tool 'ADD'"),
    Odd("one call of two that was offered", called(part(0, "a", "add", X1), part(1, "b", "rm", "{}")), why="called tool 'rm'"),
    Odd("a call without a name", called(part(0, "a", None, X1)), why="a tool without a name"),
    Odd("arguments that are a list", called(part(0, "a", "add", [1])), why="arguments that are a list"),
    Odd("arguments that are a list as text", called(part(0, "a", "add", "[1]")), why="broken arguments: not an object"),
    Odd("arguments that are cut", called(part(0, "a", "add", '{"x":')), why="'add' has broken arguments"),
    Odd("arguments that length cut", called(part(0, "a", "add", '{"x":'), finish="length"), why="raise max_tokens"),
    Odd("arguments with a number that is none", called(part(0, "a", "add", '{"x":NaN}')), why="broken arguments"),
    Odd("arguments with a number out of range", called(part(0, "a", "add", '{"x":1e999}')), why="broken arguments"),
    Odd("arguments with a number of 5000 digits", called(part(0, "a", "add", '{"x":' + "1" * 5000 + "}")), why="broken arguments"),
    Odd("arguments of 70 levels", called(part(0, "a", "add", '{"x":' + "[" * 70 + "]" * 70 + "}")), why="at most 64 levels"),
    Odd("arguments of 70 levels as an object", called(part(0, "a", "add", json.loads('{"x":' + "[" * 70 + "]" * 70 + "}"))), why="at most 64 levels"),
    Odd("arguments of over 256 KiB", called(*3 * [part(0, "a", "add", " " * 100_000)]), why="over 262144 bytes"),
)  # fmt: skip

# -- errors


def failed(name: str, value: Any, why: str, event: str = "") -> tuple[Odd, ...]:
    """An error as the first event, as a later one, and as a whole body."""
    text = value if isinstance(value, str) else dumped(value)
    lead = f"event: {event}\n" if event else ""
    first = raw(f"{lead}data: {text}\n\n".encode())
    later = raw(events(HEL) + f"{lead}data: {text}\n\ndata: [DONE]\n\n".encode())
    found = (Odd(f"{name}, first", first, why=why), Odd(f"{name}, later", later, why=why))
    return found if event else (*found, Odd(f"{name}, in one piece", whole(text), stream=False, why=why))


RAW_ERROR = dumped({"error": {"message": "model is cold", "code": 503}})

ERRORS = (
    *failed("error as an object", {"error": {"message": "no room", "type": "server_error"}}, "reported an error: no room"),
    *failed("error as text", {"error": "no room"}, "reported an error: no room"),
    *failed("vLLM's and SGLang's object", {"object": "error", "message": "no room", "code": 400}, "reported an error: no room"),
    *failed("FastAPI's detail", {"detail": "no room"}, "reported an error: no room"),
    *failed("FastAPI's list of details", {"detail": [{"loc": ["body", "n"], "msg": "too many"}]}, "body.n: too many"),
    *failed("a message and a code", {"code": "Throttled", "message": "no room", "request_id": "r"}, "no room"),
    *failed("type error", {"type": "error", "error": {"type": "overloaded", "message": "no room"}}, "no room"),
    *failed("a title and a message", {"status": 500, "error": "Internal Server Error", "message": "no room"}, "Internal Server Error: no room"),
    *failed("error: true", {"error": True, "message": "no room"}, "reported an error: no room"),
    *failed("a list of one error, as Gemini", [{"error": {"code": 400, "message": "no room", "status": "INVALID"}}], "no room"),
    *failed("a provider's error in a gateway's", {"error": {"message": "Provider returned error", "code": 502, "metadata": {"raw": RAW_ERROR, "provider_name": "X"}}}, "Provider returned error: model is cold"),
    *failed("JSON in an error's message", {"error": {"message": RAW_ERROR}}, "reported an error: model is cold"),
    *failed("Baidu's error_msg", {"error_code": 17, "error_msg": "no room"}, "no room"),
    *failed("MiniMax's base_resp", {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "no room"}}, "no room"),
    *failed("errors as a list", {"errors": [{"message": "no room"}, {"message": "no time"}]}, "no room; no time"),
    *failed("an error without words", {"error": {"code": 500}}, "reported an error: 500"),
    *failed("event: error with an object", {"error": {"message": "no room"}}, "reported an error: no room", event="error"),
    *failed("event: error with a bare object", {"message": "no room"}, "reported an error: no room", event="error"),
    *failed("event: error with plain words", "no room", "reported an error: no room", event="error"),
    *failed("Event: ERROR in capitals", {"text": "no room"}, "no room", event="ERROR"),
    *(
        Odd(f"HTTP 500 with {name}", answer(500, sent), why=f"HTTP 500{said}", data={"status": 500}, stream=stream)
        for stream, name, sent, said in (
            (True, "an object", dumped({"error": {"message": "no room"}}), ": no room; try"),
            (False, "detail", dumped({"detail": "no room"}), ": no room; try"),
            (True, "a list", dumped([{"error": {"message": "no room"}}]), ": no room; try"),
            (False, "faults", dumped({"detail": [{"loc": ["body"], "msg": "no room"}]}), ": body: no room; try"),
            (True, "an event", 'event: error\ndata: {"error": {"message": "no room"}}', ": no room; try"),
            (False, "plain words", "no room", ": no room; try"),
            (True, "a byte order mark", BOM + b'{"error":"no room"}', ": no room; try"),
            (False, "odd bytes", b'{"error":"no \xff room"}', ": no"),
            (True, "nothing", "", "; try"),
        )
    ),
    Odd("plain words as data, as mistral.rs", sse("Number of choices must be greater than 0."), why="Number of choices must be"),
    Odd("an error in the choice, as OpenRouter", sse(HEL, {"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"code": 502, "message": "no room"}}]}), why="reported an error: no room"),
    Odd("an error line that is no event, as Ollama", raw(events(HEL) + b'{"error":"no room"}\n'), why="reported an error: no room"),
    Odd("control characters and a key in an error", sse({"error": {"message": "no\x1b[31m\n room for Bearer sk-abc123"}}), why="no [31m room for [secret]"),
    Odd("odd characters in an error", raw(b'data: {"error":{"message":"no \xff\\ud83d room"}}\n\n'), why="reported an error: no"),
    Odd("an error after the answer's end", sse(HEL, LO, STOP, {"error": "no room"})),
    Odd("nonsense after the answer's end", sse(HEL, LO, STOP, "{nonsense")),
    Odd("event: error after the answer's end", raw(events(HEL, LO, STOP) + b"event: error\ndata: late\n\n")),
    Odd("a connection that breaks after the answer's end", STREAM + chunked(events(HEL, LO, STOP))),
    Odd("a connection that breaks in a chunk after the answer's end", STREAM + chunked(events(HEL, LO, STOP)) + b"ffff\r\ndat"),
    Odd("a connection that breaks before the answer's end", STREAM + chunked(events(HEL, LO)), why="broke off"),
    Odd("a connection that breaks after one whole piece", head(200, "Content-Length: 99999") + dumped(WHOLE).encode(), stream=False, usage=COUNTED),
    Odd("a connection that breaks within one piece", head(200, "Content-Length: 99999") + dumped(WHOLE).encode()[:-5], stream=False, why="broke off"),
)  # fmt: skip

# -- characters

CHARACTERS = (
    Odd("bytes that are no UTF-8", raw(b'data: {"choices":[{"delta":{"content":"a\xffb"},"finish_reason":"stop"}]}\n\n'), text="a\ufffdb"),
    Odd("bytes that are no UTF-8, in one piece", whole(b'{"choices":[{"message":{"content":"a\xffb"},"finish_reason":"stop"}]}'), text="a\ufffdb", stream=False),
    Odd("a lone high surrogate", sse('{"choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":"stop"}]}'), text="a\ufffd"),
    Odd("a lone low surrogate", sse('{"choices":[{"delta":{"content":"\\ude00a"},"finish_reason":"stop"}]}'), text="\ufffda"),
    Odd("surrogates in the wrong order", sse('{"choices":[{"delta":{"content":"\\ude00\\ud83d"},"finish_reason":"stop"}]}'), text="\ufffd\ufffd"),
    Odd("a lone surrogate in one piece", whole('{"choices":[{"message":{"content":"a\\ud83d b"},"finish_reason":"stop"}]}'), text="a\ufffd b", stream=False),
    Odd("a pair in two chunks", sse('{"choices":[{"delta":{"content":"a\\ud83d"}}]}', '{"choices":[{"delta":{"content":"\\ude00b"},"finish_reason":"stop"}]}'), text="a😀b"),
    Odd("a pair in two chunks with an empty one between", sse('{"choices":[{"delta":{"content":"\\ud83d"}}]}', delta(""), {"choices": []}, '{"choices":[{"delta":{"content":"\\ude00"}}]}', STOP), text="😀"),
    Odd("a high surrogate before another chunk", sse('{"choices":[{"delta":{"content":"\\ud83d"}}]}', LO, STOP), text="\ufffdlo"),
    Odd("a character's bytes in two chunks", raw(b'data: {"choices":[{"delta":{"content":"\xf0\x9f\x98"}}]}\n\ndata: {"choices":[{"delta":{"content":"\x80b"},"finish_reason":"stop"}]}\n\n'), text="😀b"),
    Odd("a character's bytes that never end", raw(b'data: {"choices":[{"delta":{"content":"a\xf0\x9f\x98"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}\n\n'), text="a\ufffdb"),
    Odd("a NUL", sse(delta("a\0b"), STOP), text="a\ufffdb"),
    Odd("a raw NUL in one piece", whole(b'{"choices":[{"message":{"content":"a\0b"},"finish_reason":"stop"}]}'), text="a\ufffdb", stream=False),
    Odd("odd characters in reasoning", sse('{"choices":[{"delta":{"reasoning":"a\\ud83d"}}]}', '{"choices":[{"delta":{"reasoning":"\\ude00\\u0000"}}]}', delta("Hello"), STOP), reasoning="a😀\ufffd"),
    calls("a lone surrogate in arguments", called(part(0, "a", "add", '{"x":"\\ud83d"}')), use("add", "a", x="\ufffd")),
    calls("a pair in two pieces of arguments", sse('{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"add","arguments":"{\\"x\\":\\"\\ud83d"}}]}}]}', '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\ude00\\"}"}}]}}]}', delta(finish="tool_calls")), use("add", "a", x="😀")),
    calls("a NUL in arguments and their keys", called(part(0, "a", "add", '{"x\\u0000":["\\u0000"]}')), use("add", "a", **{"x\ufffd": ["\ufffd"]})),
    calls("a lone surrogate in arguments that are an object", raw(b'data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"add","arguments":{"x":"\\ud83d"}}}]},"finish_reason":"tool_calls"}]}\n\n'), use("add", "a", x="\ufffd")),
)  # fmt: skip

# -- reasoning, refusals, parts

THINK = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}


def thought(name: str, *payloads: Json | str, **more: Any) -> Odd:
    return Odd(name, sse(*payloads), **({"reasoning": "hm"} | more))


def spoken(text: str, finish: str = "stop") -> bytes:
    """An answer a character a chunk."""
    return sse(*(delta(char) for char in text), delta(finish=finish), DONE)


ORPHAN = "I think so</think>\n\nHello"
CHANNELS = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello"
CALLING = "<|channel|>commentary to=functions.add <|constrain|>json<|message|>{}<|call|>"
NO_MARKS = "analysishm.assistantfinalHello"
SPOKEN_OF = (
    "Close it with `</think>`.",
    "```\nhm</think>\n```",
    '{"html":"hm</think>Hello"}',
    'The end is "</think>".',
    "Hello <think>hm</think>",
    "analysis of the final report",
)

REASONING = (
    Odd("a closing tag alone, in one piece", whole(message(ORPHAN)), reasoning="I think so", stream=False),
    Odd("a closing tag alone, in one chunk", sse(delta(ORPHAN), STOP), reasoning="I think so", emitted=ORPHAN),
    Odd("a closing tag alone, in pieces", spoken(ORPHAN), reasoning="I think so", emitted=ORPHAN),
    Odd("a closing tag first", whole(message("</think>\n\nHello")), stream=False),
    Odd("another closing tag alone", whole(message("hm [/THINK]Hello")), reasoning="hm", stream=False),
    Odd("nothing after a closing tag alone", spoken("hm</think>\n", "length"), why="its reasoning took all tokens", data={"reason": "max_tokens", "permanent": True}),
    calls("a closing tag alone before a call", whole(message("hm</think>", "tool_calls", tool_calls=[part(0, "a", "add", X1)])), ADD, reasoning="hm", stream=False),
    *(Odd(f"marks that are spoken of: {text!r}", spoken(text), text=text) for text in SPOKEN_OF),
    *(Odd(f"marks that are spoken of, in one piece: {text!r}", whole(message(text)), text=text, stream=False) for text in SPOKEN_OF),
    Odd("channels, in pieces", spoken(CHANNELS), reasoning="hm"),
    Odd("channels, in one piece", whole(message(CHANNELS + "<|return|>")), reasoning="hm", stream=False),
    Odd("channels after a start", spoken("<|start|>assistant" + CHANNELS + "<|return|>"), reasoning="hm"),
    Odd("channels without an end between", spoken("<|channel|>analysis<|message|>hm<|channel|>final<|message|>a < b <|c"), text="a < b <|c", reasoning="hm"),
    Odd("channels with words to the user before", spoken("<|channel|>commentary<|message|>Hel<|end|><|start|>assistant<|channel|>final<|message|>lo")),
    Odd("channels with a final one alone", spoken("<|channel|>final<|message|>Hello")),
    Odd("channels with a call", spoken(CALLING + "<|start|>assistant<|channel|>final<|message|>Hello"), reasoning="{}"),
    Odd("channels that length cut", spoken("<|channel|>analysis<|message|>hm", "length"), why="its reasoning took all tokens", data={"reason": "max_tokens", "permanent": True}),
    Odd("channels without marks, in pieces", spoken(NO_MARKS), reasoning="hm.", emitted=NO_MARKS),
    Odd("channels without marks, in one piece", whole(message(NO_MARKS)), reasoning="hm.", stream=False),
    thought("reasoning_content", delta(reasoning_content="h"), delta(reasoning_content="m"), HEL, LO, STOP),
    thought("reasoning", delta(reasoning="hm"), HEL, LO, STOP),
    thought("reasoning under two names", delta(reasoning="hm", reasoning_content="hm"), HEL, LO, STOP),
    thought("reasoning with details, as OpenRouter", delta("", reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]), HEL, LO, STOP),
    thought("details alone", delta("", reasoning_details=[{"type": "reasoning.summary", "summary": "hm"}, {"type": "reasoning.encrypted", "data": "x"}]), HEL, LO, STOP),
    thought("thinking as an object", delta(thinking={"content": "hm"}), HEL, LO, STOP),
    thought("reasoning null beside text", delta(reasoning="hm", reasoning_content=None), delta("Hello", reasoning=None, reasoning_content=""), STOP),
    thought("thinking parts, as Mistral", delta([THINK]), delta("Hel"), delta([{"type": "text", "text": "lo"}]), STOP),
    Odd("thinking parts in one piece", whole(message([THINK, {"type": "text", "text": "Hello"}])), reasoning="hm", stream=False),
    Odd("reasoning_content in one piece", whole(message("Hello", reasoning_content="hm")), reasoning="hm", stream=False),
    Odd("reasoning parts of other names", whole(message([{"type": "reasoning", "reasoning": "hm"}, {"type": "output_text", "text": "Hello", "annotations": []}])), reasoning="hm", stream=False),
    Odd("redacted thinking", whole(message([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "Hello"}])), stream=False),
    Odd("content as parts", sse(delta([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]), STOP)),
    Odd("content as parts that are text", sse(delta(["Hel", "lo"]), STOP)),
    Odd("content as one part", sse(delta({"type": "text", "text": "Hello"}), STOP)),
    Odd("content as parts of values", whole(message([{"type": "text", "text": {"value": "Hello", "annotations": []}}])), stream=False),
    Odd("parts of kinds that have no text", whole(message([{"type": "image_url", "image_url": {}}, None, {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "Hello"}])), stream=False),
    *(Odd(f"{open} in front, in pieces", spoken(f"\n{open}\nhm\n{close}\n\nHello"), reasoning="hm") for open, close in (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"), ("<seed:think>", "</seed:think>"))),
    Odd("<think> in one piece", whole(message("<think>\nhm\n</think>\n\nHello")), reasoning="hm", stream=False),
    Odd("<think> in one chunk", sse(delta("<think>hm</think>Hello"), STOP), reasoning="hm"),
    Odd("<think> without reasoning", spoken("<think>\n\n</think>\n\nHello")),
    Odd("<think> with a part of its end within", spoken("<think>a </thin b</think>Hello"), reasoning="a </thin b"),
    Odd("<think> in the middle is text", spoken("Hello <think>hm</think>"), text="Hello <think>hm</think>"),
    Odd("a second <think> is text", spoken("<think>hm</think>Hello <think>no</think>"), text="Hello <think>no</think>", reasoning="hm"),
    Odd("what only begins like <think> is text", spoken("<thin"), text="<thin"),
    Odd("an element of another name is text", spoken("<b>Hello</b>"), text="<b>Hello</b>"),
    Odd("blanks in front stay", spoken("  Hello"), text="  Hello"),
    Odd("<think> without an end", spoken("<think>hm"), text="", reasoning="hm"),
    Odd("<think> beside reasoning_content", sse(delta("", reasoning_content="hm"), delta("<think></think>Hello"), STOP), reasoning="hm"),
    calls("reasoning before a call", sse(delta("<think>hm</think>"), delta(tool_calls=[part(0, "a", "add", X1)]), delta(finish="tool_calls")), ADD, reasoning="hm"),
    *(Odd(f"reasoning that used up max_tokens: {name}", sends, why="its reasoning took all tokens of the answer; raise max_tokens", data={"reason": "max_tokens", "permanent": True}, stream=stream) for name, sends, stream in (
        ("field", sse(delta("", reasoning_content="hm"), delta(finish="length")), True),
        ("tag", spoken("<think>hm", "length"), True),
        ("tag, closed", spoken("<think>hm</think>\n", "length"), True),
        ("one piece", whole(message("", "length", reasoning_content="hm")), False),
        ("parts", whole(message([THINK], "length")), False),
    )),
    Odd("hidden reasoning that used up max_tokens", whole(message("", "length") | {"usage": USAGE}), stream=False, why="raise max_tokens", data={"reason": "max_tokens", "permanent": True}),
    *(Odd(f"a refusal: {name}", sends, why="the model refused to answer: I cannot.", data={"reason": "refusal", "permanent": True}, stream=stream) for name, sends, stream in (
        ("in pieces", sse(delta(None, refusal="I can"), delta(None, refusal="not."), STOP), True),
        ("one piece", whole(message(None, refusal="I cannot.")), False),
        ("a part", whole(message([{"type": "refusal", "refusal": "I cannot."}])), False),
    )),
    Odd("a refusal that is null or empty", sse(delta("Hello", refusal=None), delta("", refusal=""), STOP)),
)  # fmt: skip

BULK = (
    Odd("content in 30,000 parts", whole(message(30_000 * ["x" * 100])), text="x" * 3_000_000, stream=False),
    Odd("a message again and again", sse(*6 * [delta("x" * 500_000)], *10_000 * [message("y", None)], STOP), text="x" * 3_000_000 + "y" * 10_000),
    Odd("20,000 pings", sse(HEL, *20_000 * [{"type": "ping"}], LO, STOP)),
    Odd("reasoning in 20,000 pieces", sse(*20_000 * [delta(reasoning="h")], HEL, LO, STOP), reasoning="h" * 20_000),
    Odd("20,000 pieces of a call, with its name", called(part(0, "a", "add", '{"x":"'), *20_000 * [part(0, "b", "add", "}")], part(0, "a", "", '"}')), text="", uses=(use("add", "a", x="}" * 20_000),), finish="tool_use"),
    Odd("129 calls in one piece", calling(*129 * [part(..., ..., "now", "")]), stream=False, why="over 128 tool calls"),
    Odd("blanks before <think>", sse(*3_000 * [delta(" \n")], delta("Hello"), STOP), text=3_000 * " \n" + "Hello"),
)  # fmt: skip

OPENAI = (*FRAMING, *CONTENT_TYPE, *NOTHING_SAID, *USAGES, *FINISHES, *CALLS, *ERRORS, *CHARACTERS, *REASONING, *BULK)

# -- Anthropic's wire


def begin(index: Any, **block: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index: Any, kind: str, **fields: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def over(reason: Any = "end_turn", **fields: Any) -> tuple[Json, Json]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, **fields}, {"type": "message_stop"}


def block(*events: Json, reason: Any = "end_turn") -> bytes:
    return sse({"type": "message_start", "message": {"usage": {}}}, *events, *over(reason))


def text_of(*pieces: str, index: Any = 0) -> tuple[Json, ...]:
    return (
        begin(index, type="text", text=""),
        *(more(index, "text_delta", text=piece) for piece in pieces),
        {"type": "content_block_stop", "index": index},
    )


def tool_of(index: Any, *pieces: str, **fields: Any) -> tuple[Json, ...]:
    start = begin(index, **({"type": "tool_use", "id": "a", "name": "add", "input": {}} | fields))
    return (
        start,
        *(more(index, "input_json_delta", partial_json=piece) for piece in pieces),
        {"type": "content_block_stop", "index": index},
    )


def body(*blocks: Any, reason: Any = "end_turn", **fields: Any) -> bytes:
    return whole({"type": "message", "role": "assistant", "content": list(blocks), "stop_reason": reason} | fields)


def far(name: str, sends: bytes, **fields: Any) -> Odd:
    return Odd(name, sends, protocol="anthropic", **fields)


def far_calls(name: str, sends: bytes, *uses: ToolUse, **fields: Any) -> Odd:
    return far(name, sends, text="", uses=uses, finish="tool_use", **fields)


HELLO = text_of("Hel", "lo")
A_GOOD = events(
    {"type": "message_start", "message": {"usage": {"input_tokens": 7}}}, *HELLO, *over(usage={"output_tokens": 2})
)
TEXT = {"type": "text", "text": "Hello"}

ANTHROPIC = (
    far("a byte order mark leads the stream", raw(BOM + A_GOOD), usage=COUNTED),
    far("lines end in CR", raw(A_GOOD.replace(b"\n", b"\r")), usage=COUNTED),
    far("no Content-Type", raw(A_GOOD, "X-A: 1"), usage=COUNTED),
    far("empty objects, nulls and news", block({}, *HELLO, {"type": "news"}, {"type": None}, {"type": 3}, {"type": "ping"})),
    *(far(f"a sign of life {sign}", sse(sign, *HELLO[:2], sign, *HELLO[2:], *over())) for sign in SIGNS),
    *(far(f"nothing but {sign}", sse(sign), why="its answer is not a message of Anthropic's: the body: ") for sign in SIGNS),
    far("no blank lines between events", raw(A_GOOD.replace(b"\n\n", b"\n")), usage=COUNTED),
    far("[DONE] instead of message_stop", sse(*HELLO, over()[0], DONE)),
    far("[DONE] after message_stop", sse(*HELLO, *over(), DONE)),
    far("no message_stop", sse(*HELLO, over()[0])),
    far("a connection that breaks after the stop reason", STREAM + chunked(events(*HELLO, over()[0]))),
    far("a connection that breaks before the stop reason", STREAM + chunked(events(*HELLO)), why="broke off"),
    far("message_stop without a stop reason", sse(*HELLO, {"type": "message_stop"})),
    far("an end without a stop reason", sse(*HELLO), why="cut off"),
    far("no content_block_start", block(more(0, "text_delta", text="Hello"))),
    far("no content_block_stop", block(*HELLO[:-1])),
    far("no index", block(begin(None, type="text", text=""), more(None, "text_delta", text="Hello"))),
    far("an index as text", block(begin("0", type="text", text=""), more("0", "text_delta", text="Hello"))),
    far("one index for all blocks", block(*text_of("Hel"), *text_of("lo"))),
    far("a delta without a type", block(begin(0, type="text"), {"type": "content_block_delta", "index": 0, "delta": {"text": "Hello"}})),
    far("text null", block(begin(0, type="text", text=None), more(0, "text_delta", text=None), *HELLO[1:])),
    far("usage with nulls, floats and text", sse({"type": "message_start", "message": {"usage": {"input_tokens": "7", "cache_read_input_tokens": None}}}, *HELLO, *over(usage={"output_tokens": 2.0})), usage=COUNTED),
    far("usage below 0", sse(*HELLO, *over(usage={"output_tokens": -1}))),
    far("usage null and messages null", sse({"type": "message_start", "message": None}, *HELLO, {"type": "message_delta", "delta": None, "usage": None}, *over())),
    *(far(f"stop reason {named!r}", block(*HELLO, reason=named)) for named in ("stop", "STOP", "eos", "x" * 50)),
    *(far(f"stop reason {named!r}", block(*HELLO, reason=named), finish="length") for named in ("max_tokens", "length", "model_context_window_exceeded")),
    *(far(f"stop reason {named!r}", block(*HELLO, reason=named), why="gave up on the answer, with stop reason") for named in ("error", "content_filter", "pause_turn", "guardrail_intervened")),
    far("a refusal", block(*HELLO, reason="refusal"), why="refused to answer", data={"reason": "refusal", "permanent": True}),
    far("thinking", block(begin(0, type="thinking", thinking=""), more(0, "thinking_delta", thinking="hm"), more(0, "signature_delta", signature="x"), *text_of("Hello", index=1)), reasoning="hm"),
    far("<think> in the text", block(*text_of("<thi", "nk>hm</th", "ink>\n\nHello")), reasoning="hm"),
    far("a closing tag alone", block(*text_of("I think", " so</think>\n", "\nHello")), reasoning="I think so", emitted=ORPHAN),
    far("a closing tag alone, in one piece", body(TEXT | {"text": ORPHAN}), reasoning="I think so", stream=False),
    far("channels", block(*text_of(*CHANNELS)), reasoning="hm"),
    far("thinking that used up max_tokens", block(begin(0, type="thinking", thinking="hm"), reason="max_tokens"), why="its reasoning took all tokens", data={"reason": "max_tokens", "permanent": True}),
    far("surrogates in two deltas", raw(events(begin(0, type="text", text="")) + b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}\n\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ude00"}}\n\n' + events(*over())), text="😀"),
    far("bytes that are no UTF-8", raw(events(begin(0, type="text", text="")) + b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\xff"}}\n\n' + events(*over())), text="a\ufffd"),
    far_calls("a call", block(*tool_of(0, '{"x"', ":1}"), reason="tool_use"), ADD),
    far_calls("a call without an id", block(*tool_of(0, X1, id=None), reason="tool_use"), ONE),
    far_calls("two calls with one id and one index", block(*tool_of(0, X1), *tool_of(0, X2), reason="tool_use"), ADD, use("add", "call_1", x=2)),
    far_calls("the input at once", block(*tool_of(0, input={"x": 1}), reason="tool_use"), ADD),
    far_calls("the input at once and in pieces", block(*tool_of(0, X1, input={"x": 1}), reason="tool_use"), ADD),
    far_calls("the input as text", body({"type": "tool_use", "id": "a", "name": "add", "input": X1}, reason="tool_use"), ADD, stream=False),
    *(far_calls(f"the input {blank!r}", body({"type": "tool_use", "id": "a", "name": "now", "input": blank}, reason="tool_use"), use("now", "a"), stream=False) for blank in BLANK_INPUT),
    far_calls("an end turn with a call", block(*tool_of(0, X1)), ADD),
    far("a tool that was not offered", block(*tool_of(0, name="rm"), reason="tool_use"), why="called tool 'rm', but the tools that were offered are: add"),
    far("a tool where none was offered", block(*tool_of(0, X1), reason="tool_use"), tools=(), why="called tool 'add'"),
    far("input that is cut", block(*tool_of(0, '{"x":'), reason="max_tokens"), why="raise max_tokens"),
    far("event: error", raw(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no room"}}\n\n'), why="reported an error: no room"),
    far("event: error with plain words", raw(b"event: error\ndata: no room\n\n"), why="reported an error: no room"),
    far("an error as text", sse({"error": "no room"}), why="reported an error: no room"),
    far("an error as a bare message", sse({"type": "error", "message": "no room"}), why="reported an error: no room"),
    far("FastAPI's detail", sse({"detail": "no room"}), why="reported an error: no room"),
    far("an error line that is no event", raw(events(*HELLO) + b'{"error":"no room"}\n'), why="reported an error: no room"),
    far("one piece", body(TEXT), stream=False),
    far("one piece to a call that asked for a stream", body(TEXT)),
    far("one piece without a type", whole({"content": [TEXT], "stop_reason": "end_turn"}), stream=False),
    far("one piece without a stop reason", body(TEXT, reason=None), stream=False),
    far("one piece with content as text", whole({"type": "message", "content": "Hello", "stop_reason": "end_turn"}), stream=False),
    far("one piece with a byte order mark", whole(BOM + dumped({"type": "message", "content": [TEXT]}).encode()), stream=False),
    far("one piece with thinking", body({"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "redacted_thinking", "data": "x"}, TEXT), reasoning="hm", stream=False),
    far("one piece with nulls among the blocks", body(None, TEXT, {"type": "web_search_tool_result", "content": []}), stream=False),
    far("one piece without content", whole({"type": "message", "stop_reason": "end_turn"}), stream=False, why="content: Field required"),
    far("one piece with an error", whole({"type": "error", "error": {"type": "x", "message": "no room"}}), stream=False, why="reported an error: no room"),
)  # fmt: skip

ANTHROPIC += (
    far("20,000 blocks without indexes", block(*20_000 * (begin(None, type="text", text="x"), {"type": "content_block_stop"})), text="x" * 20_000),
    far("20,000 pieces without indexes", block(*10_000 * (begin(None, type="text", text="x"), more(None, "text_delta", text="y"))), text="xy" * 10_000),
)  # fmt: skip

CASES = (*OPENAI, *ANTHROPIC)

# -- embeddings


@dataclass(frozen=True)
class OddVectors:
    """What comes for two texts; `why` is an error's words, and without one the vectors are (1, 0) and (0, 1)."""

    name: str
    sends: bytes
    why: str = ""
    usage: Usage | None = None


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def row(embedding: Any, index: Any = ...) -> Json:
    return {"object": "embedding", "embedding": embedding} | ({} if index is ... else {"index": index})


def rows(*data: Any, **more: Any) -> bytes:
    return whole({"object": "list", "data": list(data), "model": "m"} | more)


E1, E2 = [1.0, 0.0], [0.0, 1.0]

VECTORS = (
    OddVectors("as they should be", rows(row(E1, 0), row(E2, 1), usage=USAGE), usage=Usage(prompt_tokens=7)),
    OddVectors("in another order", rows(row(E2, 1), row(E1, 0))),
    OddVectors("without indexes, as Gemini", rows(row(E1), row(E2))),
    OddVectors("with indexes that are null", rows(row(E1, None), row(E2, None))),
    OddVectors("with indexes that are text or floats", rows(row(E2, "1"), row(E1, 0.0))),
    OddVectors("with an index here and there", rows(row(E1), row(E2, 1))),
    OddVectors("as base64", rows(row(packed(1, 0), 0), row(packed(0, 1), 1))),
    OddVectors("as base64 here and there", rows(row(packed(1, 0), 0), row(E2, 1))),
    OddVectors("as whole numbers", rows(row([2, 0], 0), row([0, 3], 1))),
    OddVectors("as text", rows(row(["1.0", "0"], 0), row(["0", "1e0"], 1))),
    OddVectors("in a list each, as llama-server", rows(row([E1], 0), row([E2], 1))),
    OddVectors("with usage null", rows(row(E1, 0), row(E2, 1), usage=None)),
    OddVectors("with counts as text", rows(row(E1, 0), row(E2, 1), usage={"prompt_tokens": "7"}), usage=Usage(prompt_tokens=7)),
    OddVectors("with a total alone", rows(row(E1, 0), row(E2, 1), usage={"total_tokens": 7.0}), usage=Usage(prompt_tokens=7)),
    OddVectors("with a byte order mark", whole(BOM + dumped({"data": [row(E1, 0), row(E2, 1)]}).encode())),
    OddVectors("as text/plain", whole(dumped({"data": [row(E1, 0), row(E2, 1)]}), "Content-Type: text/plain")),
    OddVectors("one too few", rows(row(E1, 0)), why="1 vectors for 2 texts"),
    OddVectors("one too many", rows(row(E1, 0), row(E2, 1), row(E2, 2)), why="3 vectors for 2 texts"),
    OddVectors("none", rows(), why="0 vectors for 2 texts"),
    OddVectors("of one index", rows(row(E1, 0), row(E2, 0)), why="2 vectors for 2 texts"),
    OddVectors("with an index below 0", rows(row(E1, -1), row(E2, 0)), why="index: Input should be a number"),
    OddVectors("of other lengths", rows(row(E1, 0), row([1.0], 1)), why="different dimensions"),
    OddVectors("with NaN", rows(row([math.nan, 1.0], 0), row(E2, 1)), why="valid number"),
    OddVectors("with null", rows(row([None, 1.0], 0), row(E2, 1)), why="valid number"),
    OddVectors("with NaN as text", rows(row(["nan", "1"], 0), row(E2, 1)), why="not of finite length"),
    OddVectors("with NaN in base64", rows(row(packed(math.nan, 1), 0), row(packed(0, 1), 1)), why="not of finite length"),
    OddVectors("out of range", whole('{"data":[{"embedding":[1e999,0]},{"embedding":[0,1]}]}'), why="not of finite length"),
    OddVectors("with a number of 400 digits", whole('{"data":[{"embedding":[1' + 400 * "0" + ',0]},{"embedding":[0,1]}]}'), why="valid number"),
    OddVectors("of nothing but 0", rows(row([0, 0], 0), row(E2, 1)), why="not of finite length"),
    OddVectors("as broken base64", rows(row("!!", 0), row(E2, 1)), why="base64"),
    OddVectors("as base64 of seven bytes", rows(row("AACAPwAAAA==", 0), row(E2, 1)), why="base64"),
    OddVectors("that are empty", rows(row([], 0), row([], 1)), why="list of numbers"),
    OddVectors("that are null", rows(row(None, 0), row(None, 1)), why="list of numbers"),
    OddVectors("with truth values", rows(row([True, False], 0), row(E2, 1)), why="valid number"),
    OddVectors("in nothing", whole({"object": "list"}), why="not a list of embeddings: data"),
    OddVectors("an error as an object", whole({"error": {"message": "no room"}}), why="reported an error: no room"),
    OddVectors("an error as text", whole({"error": "no room"}), why="reported an error: no room"),
    OddVectors("an error of vLLM's", whole({"object": "error", "message": "no room"}), why="reported an error: no room"),
    OddVectors("an error of FastAPI's", whole({"detail": "no room"}), why="reported an error: no room"),
)  # fmt: skip
