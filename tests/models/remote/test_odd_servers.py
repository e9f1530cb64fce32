"""Odd but real servers: each answer of the table is read as it is meant, over a real socket, streamed and whole."""

from __future__ import annotations

import pytest

from aios.models.remote.model import RemoteEmbedder, RemoteModel
from aios_syscalls import Chat, ChatReply, Embed, Message, ModelFailed, ToolSpec, Usage
from tests.models.remote.fault_server import FaultServer
from tests.models.remote.odd_servers import ANTHROPIC, CASES, OPENAI, VECTORS, Odd, OddVectors

pytestmark = pytest.mark.anyio


async def heard(case: Odd, url: str) -> tuple[ChatReply | ModelFailed, str]:
    """What comes of a case, and the text that was emitted meanwhile."""
    tools = tuple(ToolSpec(name=name) for name in case.tools)
    chat = Chat(messages=(Message(role="user", content="hi"),), tools=tools)
    pieces: list[str] = []
    async with RemoteModel(url, "m", name="far", protocol=case.protocol, stream=case.stream, timeout_s=120) as model:
        try:
            reply = await model.generate(chat, None, None, pieces.append)
        except ModelFailed as error:
            return error, "".join(pieces)
    assert isinstance(reply, ChatReply)
    return reply, "".join(pieces)


def wrong(case: Odd, outcome: ChatReply | ModelFailed, emitted: str) -> str:
    """What is not right about an outcome; empty where all is."""
    if isinstance(outcome, ModelFailed):
        right = case.why and case.why in outcome.message and outcome.data == case.data
        return "" if right else f"{outcome.message} {outcome.data}"
    if case.why:
        return f"no error, but {outcome!r}"
    usage = Usage() if outcome.usage.estimated else outcome.usage
    got = (outcome.text, emitted, outcome.reasoning, outcome.tool_uses, outcome.finish, usage)
    right_values = (
        case.text,
        case.text if case.emitted is None else case.emitted,
        case.reasoning,
        case.uses,
        case.finish,
        case.usage or Usage(),
    )
    return "" if got == right_values else f"{got} instead of {right_values}"


@pytest.mark.parametrize("cases", [pytest.param(OPENAI, id="openai"), pytest.param(ANTHROPIC, id="anthropic")])
async def test_what_an_odd_server_sends_is_read_as_it_is_meant(cases: tuple[Odd, ...]) -> None:
    faults: list[str] = []
    with FaultServer([case.sends for case in cases]) as server:
        for case in cases:
            if said := wrong(case, *await heard(case, server.url)):
                faults.append(f"{case.name}: {said}")
    assert len(server.seen) == len(cases)
    assert faults == []


async def embedded(case: OddVectors, url: str) -> str:
    """What is not right about the vectors of a case."""
    async with RemoteEmbedder(url, "m", name="vec") as model:
        try:
            reply = await model.embed(Embed(texts=("a", "b")))
        except ModelFailed as error:
            return "" if case.why and case.why in error.message else error.message
    usage = None if reply.usage.estimated else reply.usage
    right = reply.vectors == ((1.0, 0.0), (0.0, 1.0)) and usage == case.usage and not case.why
    return "" if right else repr(reply)


async def test_odd_vectors_are_the_ones_that_are_meant_or_none() -> None:
    faults: list[str] = []
    with FaultServer([case.sends for case in VECTORS]) as server:
        for case in VECTORS:
            if said := await embedded(case, server.url):
                faults.append(f"{case.name}: {said}")
    assert faults == []


def test_the_table_is_large_and_names_no_case_twice() -> None:
    names = [(case.protocol, case.name) for case in CASES] + [("vectors", case.name) for case in VECTORS]
    assert len(set(names)) == len(names) >= 120
    for protocol in ("openai", "anthropic"):
        assert {case.stream for case in CASES if case.protocol == protocol} == {True, False}
