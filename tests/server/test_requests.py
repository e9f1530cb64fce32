"""What clients send, in all its forms, comes to the same Chat."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from aios.server.door import ModelInfo
from aios.server.http import HttpSettings
from aios_syscalls import (
    Chat,
    ChatReply,
    ExtraFields,
    FilePart,
    ImagePart,
    Message,
    NamedTool,
    TextPart,
    ToolUse,
    Usage,
)
from tests.server.conftest import Serve

pytestmark = pytest.mark.anyio

PIXEL = base64.b64encode(b"\x89PNG....").decode()
ADD = {"name": "add", "description": "Add.", "parameters": {"type": "object", "$schema": "x", "properties": {}}}
HI = {"role": "user", "content": "hi"}


async def asked(serve: Serve, path: str, body: dict[str, Any], model: str = "any", **behind: Any) -> Chat:
    """The Chat that a body becomes."""
    async with serve("pong", **behind) as served:
        response = await served.post(path, {"model": model, "messages": [HI], "max_tokens": 32, **body})
        assert response.status_code == 200, response.text
        [call] = served.model.calls
        return call


async def chat(serve: Serve, **body: Any) -> Chat:
    return await asked(serve, "/v1/chat/completions", body)


async def messages(serve: Serve, **body: Any) -> Chat:
    return await asked(serve, "/v1/messages", body)


def turns(call: Chat) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in call.messages]


async def test_a_developer_is_the_system_wherever_it_speaks(serve: Serve) -> None:
    said = [{"role": "developer", "content": "a"}, HI, {"role": "system", "content": "b"}]
    assert turns(await chat(serve, messages=said)) == [("system", "a"), ("user", "hi"), ("system", "b")]


@pytest.mark.parametrize("ask", [chat, messages])
async def test_a_text_and_a_list_of_one_text_are_the_same(serve: Serve, ask: Any) -> None:
    listed = {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}
    assert await ask(serve, messages=[listed]) == await ask(serve, messages=[HI])


@pytest.mark.parametrize("ask", [chat, messages])
async def test_texts_side_by_side_are_joined_by_one_rule(serve: Serve, ask: Any) -> None:
    listed = {"role": "user", "content": [{"type": "text", "text": text} for text in ("a", "b\n", "", "c")]}
    assert turns(await ask(serve, messages=[listed])) == [("user", "a\nb\n\n\nc")]


@pytest.mark.parametrize("ask", [chat, messages])
async def test_very_many_texts_are_joined_too(serve: Serve, ask: Any) -> None:
    listed = {"role": "user", "content": [{"type": "text", "text": "a"}] * 100_000}
    assert turns(await ask(serve, messages=[listed])) == [("user", "\n".join(["a"] * 100_000))]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("field", ["messages", "content", "tool_calls", "tools", "stop", "stop_sequences"])
async def test_a_million_entries_are_400_or_ignored(serve: Serve, path: str, field: str) -> None:
    many: list[Any] = [{}] * 1_000_000
    body: dict[str, Any] = {"model": "any", "messages": [HI]}
    match field:
        case "content" | "tool_calls":
            body["messages"] = [{"role": "assistant", "content": "", field: many}]
        case _:
            body[field] = many
    ignored = {("/v1/messages", "tool_calls"), ("/v1/messages", "stop"), ("/v1/chat/completions", "stop_sequences")}
    async with serve() as served:
        response = await served.post(path, body)
    assert response.status_code == (200 if (path, field) in ignored else 400)


@pytest.mark.parametrize("content", [None, "", []], ids=repr)
async def test_a_tool_call_needs_no_content_beside_it(serve: Serve, content: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    said = [
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "8"}]},
    ]
    call_ = await chat(serve, messages=[HI, *said])
    assert call_.messages[1:] == (
        Message(role="assistant", tool_uses=(ToolUse(id="c1", name="add", arguments={"a": 1}),)),
        Message(role="tool", content="8", tool_use_id="c1"),
    )


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", "1"])
async def test_arguments_that_are_no_object_are_kept_as_text(serve: Serve, arguments: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": arguments}}
    call_ = await chat(serve, messages=[HI, {"role": "assistant", "tool_calls": [call]}])
    assert call_.messages[1].tool_uses[0].arguments == {"arguments": arguments}


async def test_a_users_turn_with_results_is_a_message_for_each(serve: Serve) -> None:
    uses = [{"type": "tool_use", "id": id, "name": "add", "input": {"a": 1}} for id in ("t1", "t2")]
    results: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": "t1", "content": "8"},
        {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "9"}], "is_error": True},
        {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}},
    ]
    said = [HI, {"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    call = await messages(serve, messages=said)
    assert [(message.role, message.content, message.tool_use_id) for message in call.messages[2:]] == [
        ("tool", "8", "t1"),
        ("tool", "9", "t2"),
        ("user", "go on", None),
    ]
    assert [use.id for use in call.messages[1].tool_uses] == ["t1", "t2"]


async def test_the_attribution_block_goes_and_nothing_else(serve: Serve) -> None:
    attribution = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1;"}
    rest = [
        {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in ("You help.", "Be nice.")
    ]
    with_it = await messages(serve, system=[attribution, *rest])
    assert with_it == await messages(serve, system=rest)
    assert turns(with_it) == [("system", "You help.\nBe nice."), ("user", "hi")]
    assert turns(await messages(serve, system="You help.")) == [("system", "You help."), ("user", "hi")]
    assert turns(await messages(serve, system=[rest[0], attribution]))[0][1].endswith("cch=1;")


async def test_a_system_message_stays_in_its_place(serve: Serve) -> None:
    said = [HI, {"role": "system", "content": [{"type": "text", "text": "note"}]}, {"role": "user", "content": "now"}]
    assert turns(await messages(serve, messages=said)) == [("user", "hi"), ("system", "note"), ("user", "now")]


async def test_deferred_tools_are_told_of_where_they_are_loaded(serve: Serve) -> None:
    def tool(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "description": f"Do {name}.", "input_schema": {"type": "object"}, **more}

    tools = [
        tool("a", defer_loading=True),
        tool("b"),
        tool("c", defer_loading=True),
        {"type": "web_search_20250305", "name": "w"},
    ]
    none = await messages(serve, tools=tools)
    assert [spec.name for spec in none.tools] == ["b"]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "c"}]}
    call = await messages(serve, tools=tools, messages=[HI, {"role": "user", "content": [result]}])
    assert [spec.name for spec in call.tools] == ["b", "c"]
    assert json.loads(call.messages[1].content)["description"] == "Do c."


async def test_tools_of_unknown_types_are_skipped(serve: Serve) -> None:
    tools = [{"type": "mcp", "mcp": {"name": "x"}}, {"type": "function", "function": ADD}, {"type": "web_search"}]
    call = await chat(serve, tools=tools, parallel_tool_calls=True, unknown={"a": 1})
    assert [(spec.name, spec.description) for spec in call.tools] == [("add", "Add.")]
    assert not (await chat(serve, tools=[], tool_choice="required")).tools


@pytest.mark.parametrize(
    ("openai", "anthropic", "choice"),
    [
        ("auto", {"type": "auto", "disable_parallel_tool_use": True}, "auto"),
        ("required", {"type": "any"}, "required"),
        ("none", {"type": "none"}, "none"),
        ({"type": "function", "function": {"name": "add"}}, {"type": "tool", "name": "add"}, NamedTool(name="add")),
    ],
    ids=["auto", "required", "none", "named"],
)
async def test_a_tool_is_chosen(serve: Serve, openai: Any, anthropic: Any, choice: Any) -> None:
    one = await chat(serve, tools=[{"type": "function", "function": ADD}], tool_choice=openai)
    other = await messages(serve, tools=[{"name": "add", "input_schema": ADD["parameters"]}], tool_choice=anthropic)
    assert (one.tool_choice, other.tool_choice) == (choice, choice)


async def test_a_chosen_tool_that_is_skipped_leaves_the_choice_open(serve: Serve) -> None:
    tools = [{"type": "web_search_20250305", "name": "web"}, {"name": "add", "input_schema": ADD["parameters"]}]
    assert (await messages(serve, tools=tools, tool_choice={"type": "tool", "name": "web"})).tool_choice == "auto"


async def test_an_answer_without_a_limit_has_one_where_nobody_counts(serve: Serve) -> None:
    for info, most in ((ModelInfo("scripted"), 4096), (ModelInfo("scripted", context=200_000), 4096)):
        assert (await asked(serve, "/v1/messages", {"max_tokens": None}, model_info=info)).max_tokens == most
    short = ModelInfo("scripted", context=1000)
    assert (await asked(serve, "/v1/messages", {"max_tokens": None}, model_info=short)).max_tokens == 1000


async def test_a_format_is_a_schema(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    assert (await chat(serve, response_format=named)).response_schema == schema
    assert (await chat(serve, response_format={"type": "json_object"})).response_schema == {"type": "object"}
    assert (await chat(serve, response_format={"type": "text"})).response_schema is None
    form = {"type": "json_schema", "schema": schema}
    assert (await messages(serve, output_config={"format": form, "effort": "low"})).response_schema == schema
    assert (await messages(serve, output_config={"effort": "low"})).response_schema is None


async def test_sampling_and_stops_are_as_asked(serve: Serve) -> None:
    call = await chat(serve, temperature=1, top_p=0.5, seed=-1, stop="END", logprobs=True, presence_penalty=1)
    assert (call.sampling.temperature, call.sampling.top_p, call.sampling.seed) == (1.0, 0.5, 2**63 - 1)
    assert call.stop == ("END",)
    other = await messages(serve, temperature=0.3, top_k=5, stop_sequences=["a", "", "b"])
    assert (other.sampling.temperature, other.sampling.top_k, other.stop) == (0.3, 5, ("a", "b"))


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_limit_is_clamped_and_never_refused(serve: Serve, field: str) -> None:
    info = ModelInfo("scripted", context=8192)
    async with serve("pong", model_info=info, tokens=1000) as served:
        body = {"model": "any", "messages": [HI], field: 128_000}
        await served.post("/v1/chat/completions", body)
        await served.post("/v1/messages", {**body, "max_tokens": 10**30})
        await served.post("/v1/chat/completions", {"model": "any", "messages": [HI]})
        await served.post("/v1/chat/completions", {"model": "any", "messages": [HI], field: 5})
    assert [call.max_tokens for call in served.model.calls] == [7192, 7192, 7192, 5]


async def test_a_prompt_that_is_too_long_is_told_in_words_at_which_clients_compact(serve: Serve) -> None:
    info = ModelInfo("scripted", context=8192)
    async with serve("pong", model_info=info, tokens=7500) as served:
        body = {"model": "any", "messages": [HI], "max_tokens": 9999, "stream": True}
        chat = await served.post("/v1/chat/completions", body)
        other = await served.post("/v1/messages", body)
    assert (chat.status_code, other.status_code) == (400, 400)
    assert chat.json()["error"]["code"] == "context_length_exceeded"
    assert "exceeds the context window" in chat.json()["error"]["message"]
    assert other.json()["error"]["message"] == "prompt is too long: 7500 tokens > 7168 maximum"


IMAGES = [
    ("/v1/chat/completions", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}),
    ("/v1/messages", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}),
]


@pytest.mark.parametrize(("path", "image"), IMAGES, ids=["chat", "messages"])
async def test_an_image_is_a_part_or_a_line_that_says_it_was_left_out(serve: Serve, path: str, image: Any) -> None:
    body = {"model": "any", "messages": [{"role": "user", "content": [{"type": "text", "text": "see"}, image]}]}
    sees = ModelInfo("scripted", takes=frozenset({"image"}))
    async with serve("pong", model_info=sees) as served:
        seen = await served.post(path, body)
    async with serve("pong") as blind:
        left_out = await blind.post(path, body)
    async with serve("pong", settings=HttpSettings(strict=True)) as strict:
        refused = await strict.post(path, body)
    assert served.model.calls[0].messages[0].parts == (
        TextPart(text="see"),
        ImagePart(media_type="image/png", data=b"\x89PNG...."),
    )
    assert "x-aios-left-out" not in seen.headers
    assert left_out.headers["x-aios-left-out"] == "messages.0:image"
    assert blind.model.calls[0].messages[0].content == "see\n[image left out: this model takes text only]"
    assert not blind.model.calls[0].messages[0].parts
    assert refused.status_code == 400


async def test_a_file_is_a_part_and_a_text_document_text(serve: Serve) -> None:
    reads = ModelInfo("scripted", takes=frozenset({"file"}))
    data = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}}
    document = {
        "type": "document",
        "title": "T",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
    }
    async with serve("pong", model_info=reads) as served:
        await served.post("/v1/chat/completions", {"model": "any", "messages": [{"role": "user", "content": [data]}]})
        await served.post("/v1/messages", {"model": "any", "messages": [{"role": "user", "content": [document]}]})
    file, text = (call.messages[0] for call in served.model.calls)
    assert file.parts == (FilePart(name="a.pdf", media_type="application/pdf", data=b"\x89PNG...."),)
    assert text.content == "words"


async def test_nothing_is_fetched_and_what_is_not_known_is_left_out(serve: Serve) -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "new_thing"},
    ]
    async with serve("pong") as served:
        body = {"model": "any", "messages": [{"role": "user", "content": content}]}
        response = await served.post("/v1/chat/completions", body)
    told = response.headers["x-aios-left-out"]
    assert told == ", ".join(f"messages.0.content.{at}:{kind}" for at, kind in enumerate(["image", "audio", "part"]))


USE = ToolUse(id="the model's", name="add", arguments={"a": 1})


async def test_a_tool_call_that_comes_back_names_its_reply(serve: Serve) -> None:
    replies = iter([ChatReply(text="", tool_uses=(USE, USE), finish="tool_use", usage=Usage()), "done", "done"])
    async with serve(lambda _: next(replies)) as served:
        path = "/v1/chat/completions"
        message = (await served.post(path, {"model": "any", "messages": [HI]})).json()["choices"][0]["message"]
        ids = [call["id"] for call in message["tool_calls"]]
        again = {"model": "any", "messages": [HI, message, {"role": "tool", "tool_call_id": ids[1], "content": "8"}]}
        await served.post(path, again)
        await served.post(path, again, Authorization="Bearer other-token")
    own, foreign = (call.messages[1] for call in list(served.model.calls)[1:])
    assert len(set(ids)) == 2
    assert (own.turn, own.tool_uses[0].arguments) == ("0.1", {"a": 1})
    assert foreign.turn == ""


async def test_a_tool_use_and_a_thought_that_come_back_name_their_replies(serve: Serve) -> None:
    thought = ChatReply(text="So.", reasoning="I think", usage=Usage())
    replies = iter([ChatReply(text="", tool_uses=(USE,), finish="tool_use", usage=Usage()), thought, "done"])
    async with serve(lambda _: next(replies)) as served:
        said: list[Any] = [HI]
        for result in ("8", "9", ""):
            body = (await served.post("/v1/messages", {"model": "any", "messages": said})).json()
            said.append({"role": "assistant", "content": body["content"]})
            uses = [block for block in body["content"] if block["type"] == "tool_use"]
            results = [{"type": "tool_result", "tool_use_id": use["id"], "content": result} for use in uses]
            said.append({"role": "user", "content": results or "go on"})
    last = served.model.calls[-1].messages
    assert [(message.turn, message.reasoning) for message in last if message.role == "assistant"] == [
        ("0.1", ""),
        ("0.2", "I think"),
    ]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_text_that_comes_back_byte_for_byte_names_its_reply(serve: Serve, path: str, stream: bool) -> None:
    async with serve(" pong\n é ") as served:
        await served.post(path, {"model": "any", "messages": [HI], "stream": stream})
        for text, headers in (
            (" pong\n é ", {}),
            ("pong\n é", {}),
            (" pong\n é ", {"Authorization": "Bearer other-token"}),
        ):
            said = [HI, {"role": "assistant", "content": text}, HI]
            await served.post(path, {"model": "any", "messages": said}, **headers)
    told = [(call.messages[1].turn, call.messages[1].generated) for call in list(served.model.calls)[1:]]
    assert told == [("0.1", True), ("", False), ("", False)]


async def test_an_id_that_is_made_up_names_nothing(serve: Serve) -> None:
    made_up = {"id": "call_0_1_0_" + "0" * 16, "type": "function", "function": {"name": "add", "arguments": "{}"}}
    call = await chat(serve, messages=[HI, {"role": "assistant", "tool_calls": [made_up]}])
    assert call.messages[1].turn == ""


async def test_any_model_name_is_served(serve: Serve) -> None:
    assert (await asked(serve, "/v1/messages", {}, model="claude-opus-5-5")).model == "scripted"
    assert (await asked(serve, "/v1/messages", {}, model="routed")).model is None


WRONG = [
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [1]}, "messages.0"),
    ({"messages": [{"content": "hi"}]}, "messages.0.role"),
    ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 9}, "temperature"),
    ({"temperature": 10**400}, "temperature"),
    ({"top_p": 2}, "top_p"),
    ({"stream": "yes"}, "stream"),
    ({"tools": {}}, "tools"),
    ({"tools": [5]}, "tools.0"),
]


@pytest.mark.parametrize(("fields", "place"), WRONG, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_wrong_field_is_400_with_its_place(serve: Serve, path: str, fields: Any, place: str) -> None:
    async with serve() as served:
        response = await served.post(path, {"model": "any", "messages": [HI], **fields})
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"].startswith(f"{place}: ")
    if "chat" in path:
        assert error["param"] == place


BROKEN_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}}
OF_CHAT = [
    ({"n": 0}, "n"),
    ({"n": 10**9}, "n"),
    ({"stop": [1]}, "stop"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"tools": [{"type": "function", "function": {"name": "no good"}}]}, "tools.0.function.name"),
    ({"tools": [{"type": "function"}]}, "tools.0.function"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "none"}}}, "tool_choice.function.name"),
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}}]}
            ]
        },
        "messages.0.content.0.image_url",
    ),
]


@pytest.mark.parametrize(("fields", "place"), OF_CHAT, ids=lambda value: str(value)[:60])
async def test_a_wrong_field_of_a_chat_is_400_with_its_place(serve: Serve, fields: Any, place: str) -> None:
    async with serve() as served:
        response = await served.post("/v1/chat/completions", {"model": "any", "messages": [HI], **fields})
    assert (response.status_code, response.json()["error"]["param"]) == (400, place)


SESSIONS: list[tuple[dict[str, str], dict[str, Any], tuple[str, str, str]]] = [
    ({"User-Agent": "claude-cli/2.1 (x)", "x-claude-code-session-id": "s"}, {}, ("claude-cli", "s", "")),
    (
        {"User-Agent": "claude-cli/2.1", "x-claude-code-session-id": "s", "x-claude-code-agent-id": "a"},
        {},
        ("claude-cli", "s", "a"),
    ),
    ({"User-Agent": "opencode/1", "x-session-affinity": "s"}, {}, ("opencode", "s", "")),
    ({"User-Agent": "codex_exec/0", "session-id": "s"}, {}, ("codex_exec", "s", "")),
    ({"User-Agent": "OpenAI/JS 6"}, {"prompt_cache_key": "s"}, ("OpenAI", "s", "")),
    ({"User-Agent": "x"}, {"metadata": {"user_id": '{"session_id": "s"}'}}, ("x", "s", "")),
    ({"User-Agent": ""}, {"metadata": {"user_id": "{"}}, ("client", "", "")),
]


@pytest.mark.parametrize(("headers", "body", "key"), SESSIONS, ids=lambda value: str(value)[:40])
async def test_a_request_says_which_session_it_is_of(serve: Serve, headers: Any, body: Any, key: Any) -> None:
    async with serve() as served:
        await served.post("/v1/messages", {"model": "any", "messages": [HI], **body}, **headers)
        [(principal, client)] = served.door.clients
    assert principal.name == "alice"
    assert (client.program, client.session, client.agent) == key
    assert bool(client.beginning) is not bool(client.session)


async def test_a_conversation_that_grows_keeps_its_beginning(serve: Serve) -> None:
    async with serve() as served:
        for said in ([HI], [HI, {"role": "assistant", "content": "x"}, HI], [{"role": "user", "content": "other"}]):
            await served.post("/v1/messages", {"model": "any", "messages": said})
        one, same, other = (client.beginning for _, client in served.door.clients)
    assert one == same != other


async def test_reasoning_comes_back_to_the_model(serve: Serve) -> None:
    said = [HI, {"role": "assistant", "content": "a", "reasoning_content": "because"}, HI]
    assert (await chat(serve, messages=said)).messages[1].reasoning == "because"
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}]
    call = await messages(serve, messages=[HI, {"role": "assistant", "content": blocks}, HI])
    assert call.messages[1].reasoning == "hm"


async def test_what_a_client_says_beside_what_is_known_is_kept_for_servers_of_its_protocol(serve: Serve) -> None:
    body = {"user": "me", "logit_bias": {"5": 1}, "seed": 3, "stream": False, "nothing": None}
    call = await chat(serve, **body, long=[0] * 2_000)
    assert call.extra == ExtraFields(protocol="openai", fields={"user": "me", "logit_bias": {"5": 1}})
    call = await messages(serve, thinking={"type": "enabled", "budget_tokens": 9}, context_management={}, system="x")
    thinking = {"type": "enabled", "budget_tokens": 9}
    assert call.extra == ExtraFields(protocol="anthropic", fields={"thinking": thinking})
    assert (await chat(serve)).extra is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_field_too_long_to_be_passed_on_is_told_of(serve: Serve, path: str) -> None:
    body = {"model": "any", "messages": [HI], "long": [0] * 2_000, "odd\r\nname": [0] * 2_000, "user": "me"}
    async with serve("pong") as served:
        told = await served.post(path, body)
    async with serve("pong", settings=HttpSettings(strict=True)) as strict:
        refused = await strict.post(path, body)
    assert told.headers["x-aios-left-out"] == "long:field, body:field"
    assert served.model.calls[0].extra is not None
    assert served.model.calls[0].extra.fields == {"user": "me"}
    assert refused.status_code == 400


async def test_one_call_at_a_time_is_asked_for_in_either_protocol(serve: Serve) -> None:
    tools = [{"type": "function", "function": ADD}]
    assert not (await chat(serve, tools=tools, parallel_tool_calls=False)).parallel_tool_calls
    assert (await chat(serve, tools=tools)).parallel_tool_calls
    ours = [{"name": "add", "input_schema": {"type": "object"}}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert not (await messages(serve, tools=ours, tool_choice=choice)).parallel_tool_calls


async def test_a_custom_tool_is_one_with_a_text(serve: Serve) -> None:
    regex = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}}
    lark = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}}
    customs = [
        {"name": "patch", "description": "Patch."},
        {"name": "word", "format": regex},
        {"name": "l", "format": lark},
    ]
    tools = [{"type": "custom", "custom": custom} for custom in customs]
    said = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [said]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "done"}
    choice = {"type": "custom", "custom": {"name": "patch"}}
    call = await chat(serve, tools=tools, messages=[HI, turn, result], tool_choice=choice)
    patch, word, grammar = call.tools
    assert patch.parameters["required"] == ["input"]
    assert word.parameters["properties"]["input"] == {"type": "string", "pattern": "^(?:[a-z]+)$"}
    assert "start: WORD" in grammar.description
    assert call.messages[1].tool_uses == (ToolUse(id="c1", name="patch", arguments={"input": "*** Begin"}),)
    assert call.tool_choice == NamedTool(name="patch")
