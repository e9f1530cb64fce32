"""Messages, tasks and answers are weighed, not only counted: no agent fills the kernel's memory with them."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from aios.hosts.held import MEBIBYTE, HeldBytes
from aios.kernel.mailbox import Mailbox, MailLimits
from aios_syscalls import Overloaded, ProcessState, ReceiveReply
from tests.attacks.hostile import kernel_with, run

pytestmark = pytest.mark.anyio

PROGRAMS = {
    "sleeper": "await sleep(3_600)",
    "flooder": """
        sent, refused = 0, set()
        for _ in range(1_000):
            try:
                await agent.send(int(task), "x" * 65_536)
                sent += 1
            except Overloaded as error:
                refused.add(error.message)
        return json.dumps([sent, sorted(refused)])""",
    "pair": """
        sleeper = await agent.spawn("sleeper")
        told = await agent.run("flooder", str(sleeper))
        await agent.kill(sleeper)
        return told""",
    "large": """
        try:
            await agent.send(agent.pid, "\\u6771" * 21_846)
        except Overloaded as error:
            return error.message
        return "sent" """,
    "deaf": """
        # Asks for far more than it will ever read; then reads, and finds every call answered.
        call = {"call": "llm.chat", "messages": [{"role": "user", "content": "x" * 1_000_000}]}
        channel = agent.port._frames._stream._sock
        channel.setblocking(True)
        for number in range(1, 151):
            channel.sendall(json.dumps({"id": 1_000 + number, "stream": False, "call": call}).encode() + b"\\n")
        channel.setblocking(False)
        return "sent" """,
}


@pytest.mark.whole
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thousand_messages_of_64_kib_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    async with kernel_with(tmp_path, PROGRAMS) as kernel:
        told = await run(kernel, "pair")
        grown = psutil.Process().memory_info().rss - before
        assert told.state is ProcessState.DONE, told.error
        sent, refused = json.loads(told.result or "")
        assert sent == 16 * MEBIBYTE // 65_536
        assert "16777216 are its limit" in refused[0]
        large = await run(kernel, "large")
    assert "write it to a file with agent.write" in (large.result or "")
    assert grown < 200 * MEBIBYTE
    assert (tmp_path / "journal.db").stat().st_size < 80 * MEBIBYTE


async def test_counted_alone_the_same_messages_all_go_in() -> None:
    """The control: a mailbox of so many messages, whatever they weigh, takes all."""
    counted, weighed = MailLimits(1_000, 2**40, 2**40, 2**40), MailLimits(1_000, 64 * 1024, 16 * MEBIBYTE)
    for limits, room in ((counted, 1_000), (weighed, 256)):
        mailbox, taken = Mailbox(1, limits), 0
        for _ in range(1_000):
            try:
                mailbox.put(ReceiveReply(sender=2, body="x" * 65_536))
                taken += 1
            except Overloaded:
                break
        assert taken == room
        mailbox.close()
        assert limits.unread_bytes == 0


async def test_all_mailboxes_together_have_a_limit_and_what_is_read_makes_room() -> None:
    limits = MailLimits(10, 100, 1_000, total_bytes=250)
    boxes = [Mailbox(pid, limits) for pid in (1, 2, 3)]
    for box in boxes[:2]:
        box.put(ReceiveReply(sender=9, body="x" * 100))
    with pytest.raises(Overloaded, match="all mailboxes"):
        boxes[2].put(ReceiveReply(sender=9, body="x" * 100))
    await boxes[0].take()
    boxes[2].put(ReceiveReply(sender=9, body="x" * 100))
    boxes[1].close()
    boxes[0].put(ReceiveReply(sender=9, body="x" * 100))
    for box in boxes:
        box.close()
    assert limits.unread_bytes == 0


@pytest.mark.whole
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_calls_and_answers_that_nobody_reads_are_weighed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = []
    take = HeldBytes.take

    def watched(self: HeldBytes, size: int) -> bool:
        taken = take(self, size)
        most.append(self.bytes)
        return taken

    monkeypatch.setattr(HeldBytes, "take", watched)
    async with kernel_with(tmp_path, PROGRAMS) as kernel:
        assert (await run(kernel, "deaf")).result == "sent"
    assert 0 < max(most) <= 64 * MEBIBYTE


def test_what_is_held_is_given_back_and_all_agents_share_one_limit() -> None:
    together = HeldBytes(most=100)
    one, two = HeldBytes(80, together), HeldBytes(80, together)
    assert one.take(80)
    assert not one.take(1)
    assert not two.take(21)
    assert two.take(20)
    assert (one.bytes, two.bytes, together.bytes) == (80, 20, 100)
    one.give(one.bytes)
    assert two.take(60)
    two.force(1)
    two.give(two.bytes)
    assert (one.bytes, two.bytes, together.bytes) == (0, 0, 0)
