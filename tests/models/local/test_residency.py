"""Models that take turns in memory: the policy on a virtual clock, and real models under a cap for one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from aios.boot import make_models
from aios.config import Config, LocalModelConfig, MemoryConfig
from aios.models.local.file.memory import MEBIBYTE, Needs
from aios.models.local.supervisor.client import LocalModel
from aios.models.local.supervisor.residency import TURN_S, MemoryTurn, Residency
from aios_syscalls import Chat, ChatReply, Message, ModelFailed

pytestmark = [pytest.mark.anyio, pytest.mark.whole]
VIRTUAL = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["virtual"]
)
ONE_LOOP = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Resident:
    """What a supervisor does with its place, without a worker."""

    def __init__(self, residency: Residency, name: str, log: list[str], load_s: float = 1.0) -> None:
        self.place, self._name, self._log, self._load_s = residency.place(), name, log, load_s

    async def live(self) -> None:
        """Be in memory whenever somebody wants it, until it is asked to leave."""
        while True:
            await self.place.wanted()
            async with self.place.hold(6):
                await anyio.sleep(self._load_s)
                self.place.loaded()
                self._log.append(f"+{self._name}")
                await self.place.unwanted()
                self._log.append(f"-{self._name}")

    async def slice(self, seconds: float, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run for a while in it."""
        async with self.place.slice():
            task_status.started()
            while not self.place.bytes:
                await anyio.sleep(0.01)
            await anyio.sleep(seconds)


@VIRTUAL
async def test_the_least_recently_used_idle_model_gives_way() -> None:
    log: list[str] = []
    residency = Residency(13)
    a, b, c = (Resident(residency, name, log) for name in "abc")
    async with anyio.create_task_group() as tasks:
        for each in (a, b, c):
            tasks.start_soon(each.live)
        for each in (a, b, a, c, a):
            await each.slice(2)
            await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert log == ["+a", "+b", "-b", "+c"]
    assert residency.resident_bytes == 0


@VIRTUAL
async def test_a_running_slice_is_never_cut_off_and_the_waiting_one_waits_no_longer_than_that() -> None:
    log: list[str] = []
    a, b = (Resident(residency, name, log) for residency in [Residency(10)] for name in "ab")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a.live)
        tasks.start_soon(b.live)
        await tasks.start(a.slice, 100)
        while not a.place.bytes:  # who comes first is trio's to choose until it is there
            await anyio.sleep(0.01)
        began = anyio.current_time()
        await b.slice(1)
        assert 100 < anyio.current_time() - began < 110
        tasks.cancel_scope.cancel()
    assert log == ["+a", "-a", "+b"]


@VIRTUAL
async def test_a_busy_model_gives_way_between_slices_when_its_turn_is_over() -> None:
    log: list[str] = []
    a, b = (Resident(residency, name, log) for residency in [Residency(10)] for name in "ab")

    async def generate(resident: Resident, slices: int) -> None:
        resident.place.begin()
        for _ in range(slices):
            await resident.slice(0.5)
        resident.place.end()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a.live)
        tasks.start_soon(b.live)
        async with anyio.create_task_group() as work:
            work.start_soon(generate, a, 60)
            await anyio.sleep(2)
            began = anyio.current_time()
            work.start_soon(generate, b, 60)
            while "+b" not in log:
                await anyio.sleep(0.1)
            assert TURN_S - 3 < anyio.current_time() - began < TURN_S + 3
        tasks.cancel_scope.cancel()
    assert log[:6] == ["+a", "-a", "+b", "-b", "+a", "-a"]
    assert len(log) < 20


@VIRTUAL
async def test_a_model_that_takes_long_to_load_stays_longer() -> None:
    residency = Residency(10)
    place: MemoryTurn = residency.place()
    place.begin()
    async with place.hold(6):
        await anyio.sleep(30)
        place.loaded()
        assert place.turn_ends - anyio.current_time() == pytest.approx(120)


@VIRTUAL
async def test_who_gives_up_waiting_holds_up_nobody() -> None:
    residency = Residency(10)
    a, b, c = (residency.place() for _ in range(3))
    a.begin()
    async with a.slice(), a.hold(6):
        with anyio.move_on_after(1) as scope:
            async with b.hold(6):
                raise AssertionError("there was no room")
        assert scope.cancelled_caught
        with anyio.fail_after(1):
            async with c.hold(4):
                assert residency.resident_bytes == 10


def say(prompt: str, tokens: int = 8) -> Chat:
    return Chat(messages=(Message(role="user", content=prompt),), max_tokens=tokens)


def ignore(_text: str) -> None:
    return None


@pytest.fixture
def two(gguf: Path) -> Callable[..., tuple[LocalModel, LocalModel]]:
    """One file under two names, with memory for one and a half."""

    def make(**options: Any) -> tuple[LocalModel, LocalModel]:
        settings = {"slots": 2, "context": 256, "requantize": False, **options}
        residency = Residency(Needs.of(gguf, 2, 256).total * 3 // 2)
        one, other = (LocalModel(gguf, name=name, residency=residency, **settings) for name in ("one", "other"))
        return one, other

    return make


@ONE_LOOP
async def test_two_models_under_a_cap_for_one_take_turns(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios.models.local.supervisor.residency.TURN_S", 0.1)
    monkeypatch.setattr("aios.models.local.supervisor.residency.SHARE", 0)
    one, other = two()
    async with one, other:
        assert (one.pid is None, other.pid is None) == (False, True)
        assert other.healthy
        assert await other.stats() == {
            "loads": 0, "unloads": 0, "deaths": 0, "rss_restarts": 0, "resident_bytes": 0, "resident": False,
        }  # fmt: skip
        texts = [(await one.generate(say("Count."), None, None, ignore)).text]
        snapshot = await one.generate(say("Tell me of the sea."), None, 4, ignore)
        whole = await one.generate(say("Tell me of the sea."), None, None, ignore)
        snapshot_of_other = await other.generate(say("Count."), None, 3, ignore)
        assert (one.pid is None, other.pid is None) == (True, False)
        assert (await one.stats())["unloads"] == 1
        assert (await one.generate(say("Tell me of the sea."), snapshot, None, ignore)).text == whole.text
        assert (one.pid is None, other.pid is None) == (False, True)
        texts.append((await other.generate(say("Count."), snapshot_of_other, None, ignore)).text)
        assert texts[0] == texts[1]
        stats = [await model.stats() for model in (one, other)]
    assert [each["loads"] for each in stats] == [2, 2]
    assert [each["deaths"] for each in stats] == [0, 0]
    assert [each["resident_bytes"] > 0 for each in stats] == [False, True]


@ONE_LOOP
async def test_each_configured_model_tells_how_far_it_is_loaded(gguf: Path) -> None:
    seen: dict[str, float] = {}
    each = LocalModelConfig(path=gguf, slots=1, context=64)
    needs_mb = Needs.of(gguf, 1, 64).total // MEBIBYTE
    config = Config(models={"a": each, "b": each, "c": each}, memory=MemoryConfig(models_mb=needs_mb * 5 // 2))
    async with AsyncExitStack() as stack:
        for model in make_models(config, seen.__setitem__):
            await stack.enter_async_context(model)
        assert seen == {f"{name}: loading {gguf.name}": 1.0 for name in "ab"}
        assert isinstance(model, LocalModel)
        third = await model.generate(say("Count."), None, None, ignore)
        assert isinstance(third, ChatReply)
        assert seen[f"c: loading {gguf.name}"] == 1.0


@ONE_LOOP
async def test_a_call_waits_for_a_busy_models_memory_within_its_deadline(two: Any) -> None:
    one, other = two()
    async with one, other:
        first = anyio.Event()
        replies: list[ChatReply] = []

        async def long() -> None:
            replies.append(await one.generate(say("Tell me a story.", 200), None, None, lambda _text: first.set()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(long)
            await first.wait()
            pid = one.pid
            with anyio.move_on_after(0.2) as deadline:
                await other.generate(say("Count."), None, None, ignore)
            assert deadline.cancelled_caught
            assert one.pid == pid
        assert isinstance(await other.generate(say("Count."), None, None, ignore), ChatReply)
    assert replies[0].usage.completion_tokens > 50


@ONE_LOOP
async def test_a_model_larger_than_the_cap_is_refused_with_both_numbers(gguf: Path) -> None:
    model = LocalModel(gguf, name="big", requantize=False, residency=Residency(100 * MEBIBYTE))
    with pytest.raises(ModelFailed, match=r"'big' needs about \d+ MB .* may have 100 MB; raise memory.models_mb"):
        async with model:
            pass


@ONE_LOOP
async def test_a_model_that_can_not_be_loaded_later_fails_its_call_and_is_tried_again(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios.models.local.supervisor.worker_supervisor.COOL_DOWN_S", 0.5)
    file = tmp_path / "moving.gguf"
    file.symlink_to(gguf)
    residency = Residency(Needs.of(gguf, 2, 256).total * 3 // 2)
    one, other = (
        LocalModel(path, name=name, slots=2, context=256, requantize=False, residency=residency)
        for name, path in (("one", gguf), ("other", file))
    )
    async with one, other:
        file.unlink()
        with pytest.raises(ModelFailed, match=r"died 3 times .*no model at .*moving\.gguf"):
            await other.generate(say("Count."), None, None, ignore)
        file.symlink_to(gguf)
        with anyio.fail_after(30):
            while not other.healthy:
                await anyio.sleep(0.05)
        assert isinstance(await other.generate(say("Count."), None, None, ignore), ChatReply)
