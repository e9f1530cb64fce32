"""The client's own duties: nobody waits for ever, and whoever misuses it is told."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import psutil
import pytest

from aios.models.base import Caller
from aios.models.local.supervisor import worker_supervisor
from aios.models.local.supervisor.client import LocalModel, LocalSnapshot
from aios_syscalls import BadRequest, Chat, ChatReply, KernelBug, Message, ModelFailed, Rank, Sampling

pytestmark = [pytest.mark.anyio, pytest.mark.whole]
ONE_LOOP = pytest.mark.parametrize("anyio_backend", ["asyncio"])

Open = Callable[..., Any]


def say(tokens: int = 8, **fields: Any) -> Chat:
    return Chat(messages=(Message(role="user", content="Write about the sea."),), max_tokens=tokens, **fields)


def ignore(_text: str) -> None:
    return None


@pytest.fixture
def opened(gguf: Path) -> Open:
    @asynccontextmanager
    async def make(**options: Any) -> AsyncIterator[LocalModel]:
        async with LocalModel(gguf, **({"context": 256, "slots": 2, "requantize": False} | options)) as model:
            yield model

    return make


async def test_loading_tells_how_far_it_is(opened: Open) -> None:
    seen: list[tuple[str, float]] = []
    async with opened(on_progress=lambda what, share: seen.append((what, share))) as model:
        assert model.healthy
        assert model.info["exact"]
        assert seen[-1][1] == 1.0
        assert all(model.file.name in what for what, _ in seen)
    assert not model.healthy
    with pytest.raises(ModelFailed, match="is stopped"):
        await model.generate(say(), None, None, ignore)


async def test_stopping_a_model_ends_the_calls_that_wait_for_it(opened: Open) -> None:
    failures: list[ModelFailed] = []

    async with anyio.create_task_group() as tasks:
        async with opened() as model:
            first = anyio.Event()

            async def generate() -> None:
                try:
                    await model.generate(say(200), None, None, lambda _text: first.set())
                except ModelFailed as error:
                    failures.append(error)

            tasks.start_soon(generate)
            await first.wait()
        with anyio.fail_after(5):
            while not failures:
                await anyio.sleep(0.01)


async def test_a_snapshot_continues_once_and_with_its_own_model(opened: Open) -> None:
    async with opened() as model:
        snapshot = await model.generate(say(), None, 2, ignore)
        assert isinstance(snapshot, LocalSnapshot)
        assert snapshot.tokens == 2
        with pytest.raises(KernelBug, match="another model"):
            snapshot.take(LocalModel(model.file))
        assert isinstance(await model.generate(say(), snapshot, None, ignore), ChatReply)
        with pytest.raises(KernelBug):
            await model.generate(say(), snapshot, None, ignore)
        snapshot.drop()


async def test_an_emit_that_raises_ends_its_own_call_alone(opened: Open) -> None:
    def burst(_text: str) -> None:
        raise RuntimeError("burst")

    async with opened() as model:
        with pytest.raises(RuntimeError, match="burst"):
            await model.generate(say(100), None, None, burst)
        assert isinstance(await model.generate(say(), None, None, ignore), ChatReply)
        assert (await model.stats())["running"] == 0


RANK = Rank(messages=say().messages, options=("The sea", "The law"), neutral=("N/A",))


async def test_a_ranking_comes_with_the_models_name_and_outlives_a_worker(opened: Open) -> None:
    async with opened() as model:
        reply = await model.rank(RANK)
        assert (reply.choice, reply.model) == ("The sea", model.name)
        with pytest.raises(BadRequest, match="a slot holds 256"):
            await model.rank(RANK.model_copy(update={"prefix": "sea " * 256}))

        async with anyio.create_task_group() as tasks:
            again = []

            async def rank() -> None:
                again.append(await model.rank(RANK))

            os.kill(model.pid, signal.SIGSTOP)
            tasks.start_soon(rank)
            await anyio.wait_all_tasks_blocked()
            os.kill(model.pid, signal.SIGKILL)
        assert again == [reply]


async def test_a_cancelled_ranking_holds_nothing(opened: Open) -> None:
    async with opened() as model:
        os.kill(model.pid, signal.SIGSTOP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(model.rank, RANK)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        os.kill(model.pid, signal.SIGCONT)
        assert (await model.stats())["running"] == 0
        assert (await model.rank(RANK)).choice == "The sea"


async def test_a_grammar_is_obeyed_and_a_broken_one_refused(opened: Open) -> None:
    async with opened() as model:
        reply = await model.generate(say(grammar='root ::= "blue" | "green"'), None, None, ignore)
        assert reply.text in ("blue", "green")
        with pytest.raises(BadRequest) as caught:
            await model.generate(say(grammar='root ::= "blue'), None, None, ignore)
        assert caught.value.field == "grammar"
        assert isinstance(await model.generate(say(), None, None, ignore), ChatReply)


@ONE_LOOP
async def test_a_missing_seed_is_drawn_from_the_given_randomness(opened: Open) -> None:
    chat = say(sampling=Sampling(temperature=1.5, top_k=0))
    texts = []
    for seed in (1, 1, 2):
        async with opened(random=Random(seed)) as model:
            texts.append((await model.generate(chat, None, None, ignore)).text)
    assert texts[0] == texts[1] != texts[2]


async def test_a_worker_that_keeps_dying_is_left_alone_for_a_while(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_supervisor, "COOL_DOWN_S", 1.0)
    async with opened() as model:
        for _ in range(worker_supervisor.LIVES):
            with anyio.fail_after(20):
                while model.pid is None:
                    await anyio.sleep(0.01)
            os.kill(model.pid, signal.SIGKILL)
            while model.pid is not None:
                await anyio.sleep(0.01)
        with anyio.fail_after(5):
            while model.healthy:
                await anyio.sleep(0.01)
        with pytest.raises(ModelFailed, match=r"died 3 times .* tried again in"):
            await model.generate(say(), None, None, ignore)
        with anyio.fail_after(20):
            while not model.healthy:
                await anyio.sleep(0.05)
        assert isinstance(await model.generate(say(), None, None, ignore), ChatReply)


@ONE_LOOP
async def test_a_worker_ends_with_its_client(gguf: Path) -> None:
    code = (
        "import sys, anyio; from pathlib import Path; from aios.models.local.supervisor.client import LocalModel\n"
        "async def main():\n"
        "    async with LocalModel(Path(sys.argv[1]), slots=1, context=64, requantize=False) as model:\n"
        "        print(model.pid, flush=True); await anyio.sleep(60)\n"
        "anyio.run(main)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    async with await anyio.open_process([sys.executable, "-c", code, str(gguf)], env=environment) as parent:
        assert parent.stdout
        worker = psutil.Process(int(await parent.stdout.receive()))
        parent.kill()
    with anyio.fail_after(10):
        while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
            await anyio.sleep(0.05)


@ONE_LOOP
async def test_a_reply_tells_what_of_its_prompt_was_there_already(opened: Open) -> None:
    async with opened() as model:
        first = await model.generate(say(), None, None, ignore)
        assert first.usage.cached_tokens == 0
        longer = (*say().messages, first.message, Message(role="user", content="Write on."))
        second = await model.generate(say().model_copy(update={"messages": longer}), None, None, ignore)
        # All but the last token of the answer, which was not computed.
        assert second.usage.cached_tokens == first.usage.total - 1
        assert second.usage.prompt_tokens > first.usage.total


@ONE_LOOP
async def test_the_worker_hears_whose_contexts_may_go(opened: Open) -> None:
    async with opened(memory_bytes=0, disk_bytes=0) as model:

        async def turn(pid: int) -> int:
            chat = Chat(messages=(Message(role="user", content=f"{pid} is a number. " * 12),), max_tokens=1)
            reply = await model.generate(chat, None, None, ignore, Caller(pid))
            return int(reply.usage.cached_tokens)

        model.demote(9)
        await turn(1)
        await turn(2)
        model.demote(2)
        await turn(3)
        assert await turn(1) > 60
    model.demote(1)
