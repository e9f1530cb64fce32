"""Fields that a server does not take: configured, known by the model's name, or learnt from its complaint."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from aios.boot.models import make_models
from aios.config import Config
from aios.models.remote.endpoint import MAX_LESSONS
from aios.models.remote.model import RemoteEmbedder, RemoteModel
from aios.models.remote.shape import BodyShape
from aios_syscalls import BadRequest, Chat, ChatReply, Embed, Message, ModelFailed, Sampling
from tests.models.remote.fault_server import FaultServer, Peer, answer

pytestmark = pytest.mark.anyio

CHAT = Chat(messages=(Message(role="user", content="hi"),), max_tokens=9)
WHOLE = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
FIELDS = {
    "model": "m",
    "messages": [],
    "stream_options": {},
    "max_tokens": 9,
    "temperature": 0.0,
    "top_p": 1.0,
    "seed": 3,
    "top_k": 5,
    "min_p": 0.1,
    "repeat_penalty": 1.1,
    "stop": ["x"],
    "tools": [],
    "response_format": {},
    "encoding_format": "float",
}


def complaint(message: Any, status: int = 400, **more: Any) -> bytes:
    return answer(status, {"error": {"message": message, **more}})


COMPLAINTS: list[tuple[str, str | None, str | None]] = [
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "max_completion_tokens",
    ),
    (
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
        "temperature",
        None,
    ),
    ("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", None),
    ("`temperature` is deprecated for this model.", "temperature", None),
    ("Unrecognized request argument supplied: stream_options", "stream_options", None),
    ("Unrecognized request arguments supplied: seed, top_k", "seed", None),
    ('Invalid JSON payload received. Unknown name "seed": Cannot find field.', "seed", None),
    ("body.stream_options: Extra inputs are not permitted", "stream_options", None),
    ("top_k: Extra inputs are not permitted", "top_k", None),
    ("property 'min_p' is unsupported", "min_p", None),
    ("Input validation error: `temperature` must be strictly positive", "temperature", None),
    ("`temperature` and `top_p` cannot both be specified for this model. Please use only one.", "top_p", None),
    ("Model m does not support parameter topP.", "top_p", None),
    ("Additional properties are not allowed ('repeat_penalty' was unexpected)", "repeat_penalty", None),
    ("This model doesn't support the seed parameter", "seed", None),
    ("Unknown parameter: 'max_tokens'.", "max_tokens", "max_completion_tokens"),
    ("max_tokens is not supported; did you mean max_output_tokens?", "max_tokens", "max_output_tokens"),
    ("Unknown parameter 'encoding_format'", "encoding_format", None),
    ("invalid temperature: only 1 is allowed for this model", "temperature", None),
    ("`temperature` may only be set to 1 when thinking is enabled.", "temperature", None),
    ("Malformed input request: extraneous key [top_k] is not permitted, please reformat", "top_k", None),
    ('Bad request: json: unknown field "min_p"', "min_p", None),
    ("Validation: Unsupported parameter(s): `seed`", "seed", None),
    ("temperature must be 1 or less", None, None),
    ("max_tokens is too large: 100000. This model supports at most 4096 completion tokens.", None, None),
    ("temperature must be between 0 and 1", None, None),
    ("Unsupported parameter: 'response_format' is not supported with this model.", None, None),
    ("Unsupported parameter: 'tools' is not supported with this model.", None, None),
    ("Unknown parameter: 'messages'. Use 'temperament' instead.", None, None),
    ("The model m does not exist", None, None),
    ("no", None, None),
]


@pytest.mark.parametrize(("said", "gone", "new"), COMPLAINTS)
def test_a_complaint_teaches_the_field_that_it_is_about(said: str, gone: str | None, new: str | None) -> None:
    shape = BodyShape("m")
    assert shape.fit(FIELDS) == FIELDS
    assert shape.learn(said) is (gone is not None)
    fitted = shape.fit(FIELDS)
    assert FIELDS.keys() - fitted.keys() == ({gone} if gone else set())
    assert fitted.keys() - FIELDS.keys() == ({new} if new else set())
    assert new is None or fitted[new] == FIELDS["max_tokens"]
    assert not shape.learn(said)


def test_what_the_configuration_says_is_not_learnt_otherwise() -> None:
    shape = BodyShape("m", omit=["top_p"], rename={"max_tokens": "max_new_tokens", "temperature": "temp"})
    for said in (
        "Unknown parameter: 'max_tokens'",
        "Unknown parameter: 'max_new_tokens'",
        "temperature is unsupported",
    ):
        assert not shape.learn(said)
    fitted = shape.fit(FIELDS)
    assert (fitted["max_new_tokens"], fitted["temp"]) == (9, 0.0)
    assert not {"top_p", "max_tokens", "temperature"} & fitted.keys()


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.1", "openai/gpt-6"]
)
def test_models_that_reason_are_known_by_their_names(model: str) -> None:
    fitted = BodyShape(model).fit(FIELDS)
    assert fitted["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature", "top_p"} & fitted.keys()
    assert BodyShape(model, omit=(), rename={}).fit(FIELDS) == FIELDS


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-oss-20b", "openai/gpt-oss-120b", "o", "olmo-1", "claude-x", "gpt-50x", "m"]
)
def test_other_models_are_sent_all(model: str) -> None:
    assert BodyShape(model).fit(FIELDS) == FIELDS


def test_a_chat_model_of_the_family_is_told_how_to_sample() -> None:
    fitted = BodyShape("gpt-5-chat-latest").fit(FIELDS)
    assert (fitted["max_completion_tokens"], fitted["temperature"]) == (9, 0.0)


def test_an_older_server_of_a_known_name_gets_its_older_field_back() -> None:
    shape = BodyShape("gpt-5")
    assert shape.learn("Unrecognized request argument supplied: max_completion_tokens")
    assert shape.fit(FIELDS)["max_tokens"] == 9
    assert not shape.learn("Unknown parameter: 'max_tokens'")


def test_what_a_call_asked_for_is_not_left_out_silently(caplog: pytest.LogCaptureFixture) -> None:
    shape = BodyShape("o3", name="mine")
    shape.fit({"temperature": 0.0, "top_p": 1.0, "seed": None})
    assert caplog.records == []
    for _ in range(2):
        shape.fit({"temperature": 0.7, "top_p": 1.0})
    assert [record.getMessage() for record in caplog.records] == [
        "model 'mine' chooses its own temperature; what a call says of it is left out"
    ]


class Picky:
    """Refuses the first of some fields that it finds, in words of OpenAI's; else it answers."""

    def __init__(self, **refused: str) -> None:
        self.refused = refused

    def __call__(self, peer: Peer) -> None:
        sent = peer.asked.json()
        found = next((name for name in self.refused if name in sent), None)
        peer.send(complaint(self.refused[found], param=found) if found else answer(200, WHOLE))


NEW_NAME = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
NO_HEAT = "Unsupported value: 'temperature' does not support 0 with this model."


async def test_a_server_that_complains_is_asked_again_and_remembered(caplog: pytest.LogCaptureFixture) -> None:
    with FaultServer([Picky(max_tokens=NEW_NAME, temperature=NO_HEAT)]) as server:
        async with RemoteModel(server.url, "m", name="far") as model:
            for _ in range(2):
                reply = await model.generate(CHAT, None, None, lambda _: None)
                assert isinstance(reply, ChatReply)
                assert reply.text == "Hello"
    bodies = [seen.json() for seen in server.seen]
    assert [("max_tokens" in sent, "temperature" in sent) for sent in bodies] == [
        (True, True),
        (False, True),
        (False, False),
        (False, False),
    ]
    assert bodies[-1]["max_completion_tokens"] == 9
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "model 'far' does not take max_tokens, which is called max_completion_tokens from now on",
        "model 'far' does not take temperature, which is left out from now on; it samples as it likes",
    ]


async def test_a_field_is_known_by_its_name_beside_the_words() -> None:
    refused = complaint("Unsupported value.", param="temperature", code="unsupported_value")
    with FaultServer([refused, answer(200, WHOLE)]) as server:
        async with RemoteModel(server.url, "m") as model:
            await model.generate(CHAT, None, None, lambda _: None)
    assert [("temperature" in seen.json(), "top_p" in seen.json()) for seen in server.seen] == [
        (True, True),
        (False, True),
    ]


async def test_a_field_that_an_answer_depends_on_is_never_left_out() -> None:
    chat = CHAT.model_copy(update={"response_schema": {"type": "object"}})
    said = "Unsupported parameter: 'response_format' is not supported with this model."
    with FaultServer([complaint(said)]) as server:
        async with RemoteModel(server.url, "m") as model:
            with pytest.raises(BadRequest, match=r"HTTP 400: Unsupported parameter.*`omit`.*`rename`"):
                await model.generate(chat, None, None, lambda _: None)
    assert len(server.seen) == 1


async def test_a_server_that_only_complains_is_not_asked_for_ever() -> None:
    said = [complaint(f"{name} is unsupported") for name in FIELDS]
    with FaultServer([*said, complaint("temperature is unsupported")]) as server:
        async with RemoteModel(server.url, "m") as model:
            with pytest.raises(BadRequest, match="HTTP 400"):
                await model.generate(CHAT, None, None, lambda _: None)
    assert len(server.seen) <= MAX_LESSONS + 1


async def test_complaints_take_no_more_time_than_the_call_has() -> None:
    def slow(peer: Peer) -> None:
        if not peer.gone(0.1):
            peer.send(complaint(f"{next(names)} is unsupported"))

    names = iter(["temperature", "top_p", "seed", "top_k", "min_p", *100 * ["stream_options"]])
    with FaultServer([slow]) as server:
        async with RemoteModel(server.url, "m", timeout_s=0.35) as model:
            with pytest.raises((ModelFailed, BadRequest)):
                await model.generate(CHAT, None, None, lambda _: None)
    assert len(server.seen) <= 4


async def test_what_is_configured_reaches_the_server() -> None:
    with FaultServer([answer(200, WHOLE)]) as server:
        fields = {"omit": ["temperature", "top_p"], "rename": {"max_tokens": "max_new_tokens"}}
        far = {"kind": "openai", "base_url": server.url, "model": "m", **fields}
        (made,) = make_models(Config.model_validate({"models": {"far": far}}))
        assert isinstance(made, RemoteModel)
        async with made as model:
            await model.generate(CHAT, None, None, lambda _: None)
    assert server.seen[0].json() == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_new_tokens": 9,
    }


async def test_anthropic_and_embeddings_learn_as_well() -> None:
    hot = CHAT.model_copy(update={"sampling": Sampling(temperature=0.5, top_p=0.9)})
    both = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    message = {"type": "message", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}
    with FaultServer([complaint(both), answer(200, message)]) as server:
        async with RemoteModel(server.url, "m", protocol="anthropic") as model:
            await model.generate(hot, None, None, lambda _: None)
    assert [sorted({"temperature", "top_p"} & seen.json().keys()) for seen in server.seen] == [
        ["temperature", "top_p"],
        ["temperature"],
    ]
    refused = answer(422, {"detail": [{"loc": ["body", "encoding_format"], "msg": "Extra inputs are not permitted"}]})
    with FaultServer([refused, answer(200, {"data": [{"embedding": [1.0]}]})]) as server:
        async with RemoteEmbedder(server.url, "m") as embedder:
            assert (await embedder.embed(Embed(texts=("a",)))).vectors == ((1.0,),)
    assert [sorted(json.loads(seen.body)) for seen in server.seen] == [
        ["encoding_format", "input", "model"],
        ["input", "model"],
    ]
