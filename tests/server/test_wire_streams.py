"""Streams while they run: headers at once, comments, resets, and clients that leave."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from aios.models.scripted import Script, ScriptedModel
from aios.server.door import ModelInfo
from aios.server.http import HttpSettings
from aios_syscalls import ModelFailed
from tests.server.conftest import LiveRequest, Serve, Served

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 10_000}
PATHS = ["/v1/chat/completions", "/v1/messages"]
QUICK = HttpSettings(keep_alive_s=0.01, grace_s=0.01)
LONG = "word " * 5_000
every_path = pytest.mark.parametrize("path", PATHS)
whole_or_streamed = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def request(served: Served, path: str, stream: bool = True, **more: Any) -> LiveRequest:
    return LiveRequest(served.app, path, json.dumps({**BODY, "stream": stream, **more}).encode())


async def until(true: Any) -> None:
    """Wait until something is so, letting everyone else run."""
    while not true():
        await anyio.lowlevel.checkpoint()


def ends(served: Served) -> list[str]:
    """How far each call has come, as the last that is on record of it."""
    return list({event.n: event.kind.value for event in served.events if event.n}.values())


def slow() -> ScriptedModel:
    return ScriptedModel(LONG, slots=1, delay_s=0.001)


@every_path
async def test_the_headers_and_comments_come_while_a_call_waits(serve: Serve, path: str) -> None:
    async with serve(slow(), settings=QUICK) as served, anyio.create_task_group() as tasks:
        before, behind = request(served, path), request(served, path)
        tasks.start_soon(before.run)
        await before.until(lambda: b"word" in before.sent)
        tasks.start_soon(behind.run)
        await behind.until(lambda: behind.sent.count(b": waiting\n\n") >= 2)
        assert behind.status == 200
        assert behind.headers["content-type"].startswith("text/event-stream")
        assert behind.headers["x-aios-call"]
        assert b"word" not in behind.sent
        before.leave()
        await behind.until(lambda: b"word" in behind.sent)
        behind.leave()


@every_path
@whole_or_streamed
async def test_a_client_that_leaves_cancels_its_call_and_frees_the_slot(serve: Serve, path: str, stream: bool) -> None:
    async with serve(slow()) as served, anyio.create_task_group() as tasks:
        leaving = request(served, path, stream)
        tasks.start_soon(leaving.run)
        await until(lambda: served.model.calls)
        leaving.leave()
        await until(lambda: ends(served) == ["cancelled"])
        assert not leaving.complete
        next_ = request(served, path, stream=False, max_tokens=1)
        await next_.run()
        assert (next_.status, next_.complete) == (200, True)


@every_path
@whole_or_streamed
async def test_a_client_that_leaves_while_it_waits_is_forgotten(serve: Serve, path: str, stream: bool) -> None:
    async with serve(slow()) as served, anyio.create_task_group() as tasks:
        before, leaving = request(served, path), request(served, path, stream)
        tasks.start_soon(before.run)
        await before.until(lambda: b"word" in before.sent)
        done = anyio.Event()

        async def run() -> None:
            await leaving.run()
            done.set()

        tasks.start_soon(run)
        leaving.leave()
        await done.wait()
        assert len(served.model.calls) == 1
        before.leave()


@every_path
async def test_several_choices_are_cancelled_together(serve: Serve, path: str) -> None:
    async with serve(slow()) as served:
        leaving = request(served, path, stream=False, n=4)
        leaving.leave()
        await leaving.run()
    assert ends(served) == ["cancelled"] * (4 if path == PATHS[0] else 1)


@every_path
async def test_a_failure_after_the_headers_is_no_end(serve: Serve, path: str) -> None:
    async with serve(ScriptedModel(iter([LONG]), slots=1, delay_s=0.001), settings=QUICK) as served:
        async with anyio.create_task_group() as tasks:
            before, behind = request(served, path), request(served, path)
            tasks.start_soon(before.run)
            await before.until(lambda: b"word" in before.sent)
            tasks.start_soon(behind.run)
            await behind.until(lambda: b": waiting" in behind.sent)
            before.leave()  # then the model has no reply left for the one behind
    assert (behind.status, behind.complete) == (200, False)
    assert not any(end in behind.sent for end in (b"[DONE]", b"message_stop", b'"finish_reason":"', b"message_delta"))


async def test_one_choice_that_fails_ends_the_stream_of_all(serve: Serve) -> None:
    replies: list[Script] = ["one two three", ModelFailed("it broke")]
    model = ScriptedModel(replies, slots=1, delay_s=0.01)
    async with serve(model, settings=HttpSettings(grace_s=0)) as served:
        running = request(served, PATHS[0], n=2)
        await running.run()
    assert (running.status, running.complete) == (200, False)
    assert b"[DONE]" not in running.sent


@every_path
async def test_a_client_that_leaves_after_the_last_event_has_succeeded(serve: Serve, path: str) -> None:
    async with serve("pong is here") as served:
        running = request(served, path)
        await running.run()
        running.leave()
    assert running.complete
    assert running.sent.rstrip().endswith((b"[DONE]", b'"type":"message_stop"}'))
    assert ends(served) == ["done"]


async def test_what_was_counted_is_told_at_the_start(serve: Serve) -> None:
    async with serve("pong", tokens=77, model_info=ModelInfo("scripted", context=1000)) as served:
        running = request(served, PATHS[1], max_tokens=100_000)
        await running.run()
    first = json.loads(running.sent.split(b"\ndata: ")[1].split(b"\n")[0])
    assert first["message"]["usage"]["input_tokens"] == 77


async def test_fifty_clients_that_vanish_leave_nothing_behind(serve: Serve) -> None:
    async with serve(slow()) as served:
        async with anyio.create_task_group() as tasks:
            leaving = [request(served, PATHS[at % 2], stream=at % 3 > 0) for at in range(50)]
            for each in leaving:
                tasks.start_soon(each.run)
            await until(lambda: served.model.calls)
            for each in leaving:
                each.leave()
        assert ends(served) == 50 * ["cancelled"]
        assert not served.model.held
