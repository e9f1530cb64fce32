"""The worker's life: stuck or slow, poisoned by a call, too large; real workers, really killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from aios.models.local.file.gguf import Header
from aios.models.local.file.memory import MEBIBYTE, Needs
from aios.models.local.supervisor import process
from aios.models.local.supervisor.client import LocalModel
from aios.models.local.supervisor.process import resident_bytes
from aios_syscalls import Chat, ChatReply, Message, ModelFailed, Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"]), pytest.mark.whole]

MakeModel = Callable[..., LocalModel]


def say(prompt: str = "Write about the sea.", tokens: int = 8, **fields: Any) -> Chat:
    return Chat(messages=(Message(role="user", content=prompt),), max_tokens=tokens, **fields)


def ignore(_text: str) -> None:
    return None


async def whole(model: LocalModel, chat: Chat) -> str:
    reply = await model.generate(chat, None, None, ignore)
    assert isinstance(reply, ChatReply)
    return reply.text


@pytest.fixture
def local(gguf: Path) -> MakeModel:
    def make(path: Path | None = None, **options: Any) -> LocalModel:
        return LocalModel(path or gguf, **({"context": 512, "slots": 4, "requantize": False} | options))

    return make


async def test_a_slow_step_is_not_a_stuck_one(local: MakeModel, shipped_gguf: Path) -> None:
    """A piece of prompt takes longer than the time-out on one core."""
    timeout_s = 0.4
    async with local(shipped_gguf, context=1024, slots=1, timeout_s=timeout_s) as model:
        pid = model.pid
        assert pid is not None
        core = min(os.sched_getaffinity(0))
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {core})
        steps = [(await model.stats())["steps"]]
        began = anyio.current_time()
        await whole(model, say("word " * 700, tokens=1))
        steps.append((await model.stats())["steps"])
        step_s = (anyio.current_time() - began) / (steps[1] - steps[0])
        assert model.pid == pid
    assert step_s > timeout_s, "the steps were too short to show anything"


async def test_a_stopped_worker_is_ended_though_it_is_asked_again_and_again(local: MakeModel) -> None:
    async with local(timeout_s=1.0) as model:
        first = anyio.Event()
        replies: list[str] = []

        async def ask() -> None:
            while not replies:
                with anyio.move_on_after(0.2):
                    await model.generate(say(tokens=1), None, None, ignore)

        async def generate() -> None:
            reply = await model.generate(say(tokens=60), None, None, lambda _text: first.set())
            assert isinstance(reply, ChatReply)
            replies.append(reply.text)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(generate)
                await first.wait()
                assert model.pid is not None
                os.kill(model.pid, signal.SIGSTOP)
                tasks.start_soon(ask)
        stats = await model.stats()
        assert stats["deaths"] == 1
        assert replies == [await whole(model, say(tokens=60))]


async def test_a_call_that_ends_its_workers_takes_nobody_along(local: MakeModel) -> None:
    """Whenever a token of the poisonous call is seen, its worker is killed; five others live through it all."""
    chats = [say(f"Count to {number}.", 40, sampling=Sampling(temperature=0.7, seed=number)) for number in range(5)]
    async with local(slots=6) as model:
        expected = [await whole(model, chat) for chat in chats]
        texts: dict[int, str] = {}
        pieces: dict[int, list[str]] = {number: [] for number in range(len(chats))}
        failures: list[ModelFailed] = []

        def kill(_text: str) -> None:
            if model.pid is not None:
                os.kill(model.pid, signal.SIGKILL)

        async def innocent(number: int) -> None:
            snapshot = None
            while number not in texts:
                outcome = await model.generate(chats[number], snapshot, 16, pieces[number].append)
                if isinstance(outcome, ChatReply):
                    texts[number] = outcome.text
                else:
                    snapshot = outcome

        async def poison() -> None:
            try:
                await model.generate(say("You are poison.", 400), None, None, kill)
            except ModelFailed as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poison)
            for number in range(len(chats)):
                tasks.start_soon(innocent, number)
        stats = await model.stats()
        assert await whole(model, chats[0]) == expected[0]
    assert "lost its worker 3 times, at last alone" in failures[0].message
    assert "SIGKILL" in failures[0].message
    assert [texts[number] for number in range(len(chats))] == expected
    assert ["".join(pieces[number]) for number in range(len(chats))] == expected
    assert (stats["deaths"], stats["loads"]) == (3, 4)


async def test_poison_after_poison_is_found_each_time(local: MakeModel) -> None:
    """Three poisonous calls at once, more deaths than a worker has lives, and still the innocent one ends well."""
    async with local() as model:
        expected = await whole(model, say(tokens=60))
        failures: list[str] = []
        texts: list[str] = []

        def kill(_text: str) -> None:
            if model.pid is not None:
                os.kill(model.pid, signal.SIGKILL)

        async def poison(number: int) -> None:
            try:
                await model.generate(say(f"You are poison {number}.", 400), None, None, kill)
            except ModelFailed as error:
                failures.append(error.message)

        async def innocent() -> None:
            texts.append(await whole(model, say(tokens=60)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(innocent)
            for number in range(3):
                tasks.start_soon(poison, number)
    assert texts == [expected]
    assert len(failures) == 3
    assert all("at last alone" in failure for failure in failures)


async def test_a_worker_that_grows_too_large_is_replaced_and_its_calls_go_on(local: MakeModel) -> None:
    """Many paused generations, whose states are kept in memory, make the worker grow over its limit."""
    shared = "The sea was wide. " * 60
    chats = [say(f"{shared}Tell me a long story about the number {number}.", 12) for number in range(10)]
    async with local(slots=1) as model:
        assert model.pid is not None
        limit = (await model.stats())["rss_bytes"] + 35 * MEBIBYTE
        expected = [await whole(model, chat) for chat in chats[:3]]
    async with local(slots=1, rss_limit_bytes=limit) as model:
        snapshots = [await model.generate(chat, None, 3, ignore) for chat in chats]
        with anyio.fail_after(30):
            while not (stats := await model.stats())["rss_restarts"]:
                assert stats["resident_bytes"] <= limit or stats["deaths"]
                await anyio.sleep(0.05)
        for chat, snapshot, text in zip(chats, snapshots, expected, strict=False):
            assert not isinstance(snapshot, ChatReply)
            reply = await model.generate(chat, snapshot, None, ignore)
            assert isinstance(reply, ChatReply)
            assert reply.text == text
        stats = await model.stats()
        assert stats["loads"] == stats["deaths"] + 1


async def test_a_limit_below_what_the_model_takes_is_refused(local: MakeModel) -> None:
    with pytest.raises(ModelFailed, match=r"takes [\d,]+ MB of memory .* may take 50 MB; raise its rss_limit_mb"):
        async with local(rss_limit_bytes=50 * MEBIBYTE):
            pass


async def test_a_model_larger_than_the_free_memory_is_refused_before_it_is_loaded(local: MakeModel) -> None:
    free = psutil.virtual_memory().available
    seen: list[str] = []
    slots = free // (8192 * 23040) + 1
    with pytest.raises(ModelFailed, match=r"needs about [\d,]+ MB .* and [\d,]+ MB are free; configure fewer slots"):
        async with local(slots=slots, context=8192, on_progress=lambda what, _share: seen.append(what)):
            pass
    assert seen == []


async def test_the_memory_that_a_model_needs_is_read_from_its_header(gguf: Path) -> None:
    header = Header.read(gguf)
    assert (header.architecture, header.layers, header.trained_context, header.token_bytes) == (
        "llama",
        30,
        8192,
        23040,
    )
    needs = Needs.of(gguf, 8, 2048)
    assert (needs.weights, needs.cache) == (gguf.stat().st_size, 8 * 2048 * 23040)
    assert Needs.of(gguf, 8, 2048, gpu_layers=-1).weights == 0
    assert Needs.of(gguf, 8, 2048, gpu_layers=15).cache == needs.cache // 2


async def test_a_loaded_model_takes_about_what_it_said(local: MakeModel, gguf: Path) -> None:
    before = resident_bytes(gguf)
    async with local(slots=8, context=2048) as model:
        taken = (await model.stats())["rss_bytes"]
        assert abs(taken - Needs.of(gguf, 8, 2048).total) < 100 * MEBIBYTE
        assert resident_bytes(gguf) >= before + taken // 2
        assert model.info["gpu_layers"] in (0, 30)
        assert model.info["layers"] == 30


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda whole: whole.replace(b"llama", b"lxama", 50), "unknown model architecture: 'lxama'.*configure another"),
        (lambda whole: whole[: len(whole) // 2], "corrupted or incomplete.*fetch the file again"),
        (lambda whole: whole[:2000], "fetch the file again|fetch it again"),
    ],
    ids=["foreign", "half", "header"],
)
@pytest.mark.parametrize("requantize", [True, False])
async def test_a_file_that_does_not_load_says_what_to_do(
    local: MakeModel, shipped_gguf: Path, tmp_path: Path, damage: Callable[[bytes], bytes], says: str, requantize: bool
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(damage(shipped_gguf.read_bytes()))
    with pytest.raises(ModelFailed, match=f"{path}.*({says})"):
        async with local(path, requantize=requantize):
            pass
    assert process.resident_bytes(path) == 0
