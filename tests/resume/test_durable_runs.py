"""Durable runs, cut off and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aios.cores.file import FileCore
from aios.kernel import Turn
from tests.resume.conftest import Bench, cut, first_pid, places

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

HEAD = "from aios.sdk import *\nfrom aios_syscalls import *\nimport anyio, json\n\nasync def main(agent, task):\n"

PLAIN = (
    HEAD
    + """\
    a = await agent.ask("one")
    b = await agent.ask(a)
    await agent.write("out.txt", b)
    await agent.append("out.txt", "more")
    return f"{a} {b}"
"""
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def resumes_everywhere(bench: Bench, tmp_path: Path, program: str) -> list[str]:
    """The results of a program cut off after each of its events, the undisturbed one first."""
    journal = tmp_path / "journal.db"
    found = []
    async with bench.host as host:
        found.append(await bench.whole(journal, host, program))
        for seq in places(journal, "'accepted','started','done','failed','cancelled','expired'")[2:]:
            again = cut(journal, tmp_path / f"cut-{seq}.db", seq)
            found.append(await bench.resumed(again, host, first_pid(journal)))
    return found


async def test_a_program_cut_off_anywhere_ends_as_it_would_have(bench: Bench, tmp_path: Path) -> None:
    bench.program("plain", PLAIN)
    found = await resumes_everywhere(bench, tmp_path, "plain")
    assert len(found) > 8
    assert set(found) == {found[0]}


GENERATED = Path(__file__).with_name("generated.py")
LEAF = (
    HEAD
    + """\
    return await agent.ask("leaf " + await agent.ask(task))
"""
)
REPLIES = (
    HEAD
    + """\
    return " ".join([(await agent.receive()).body + await agent.ask("mail") for _ in range(3)])
"""
)


@pytest.mark.parametrize("seed", range(4))
async def test_a_generated_program_cut_off_anywhere_repeats_itself_and_ends_as_it_would_have(
    bench: Bench, tmp_path: Path, seed: int
) -> None:
    bench.program("generated", GENERATED.read_text())
    bench.program("leaf", LEAF)
    bench.program("replies", REPLIES)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        whole = await bench.whole(journal, host, "generated", str(seed))
        all = places(journal, "'accepted','done','failed','cancelled','refused','exited'")[1:]
        found = {}
        for seq in all[:: max(1, len(all) // 6)]:
            again = cut(journal, tmp_path / f"cut-{seq}.db", seq)
            found[seq] = await bench.resumed(again, host, first_pid(journal))
    assert {seq: result for seq, result in found.items() if result != whole} == {}


COUNTS = (
    HEAD
    + """\
    try:
        return f"{await agent.call('count', name='counted')} times"
    except OutcomeUnknown as error:
        return error.message
"""
)


async def test_a_tool_that_had_begun_is_not_run_again_and_its_caller_hears_so(bench: Bench, tmp_path: Path) -> None:
    bench.program("counts", COUNTS)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        assert await bench.whole(journal, host, "counts") == "1 times"
        (begun,) = places(journal, "'started'", "data LIKE '%\"tool\"%'")
        found = await bench.resumed(cut(journal, tmp_path / "begun.db", begun), host, first_pid(journal))
        assert found.startswith("tool.call had begun when its kernel died")
        assert f"aios resolve {first_pid(journal)}.1" in found
        assert (tmp_path / "counted").read_text() == "x\n"
        # The control: one that had not begun runs.
        found = await bench.resumed(cut(journal, tmp_path / "not-begun.db", begun - 1), host, first_pid(journal))
        assert found == "2 times"


APPENDS = (
    HEAD
    + """\
    await agent.append("log.txt", "once ")
    return await agent.read("log.txt")
"""
)


async def test_a_change_that_the_store_has_is_not_made_a_second_time(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.program("appends", APPENDS)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        assert await bench.whole(journal, host, "appends") == "once "
        (begun,) = places(journal, "'started'", "n = 1 AND data LIKE '%\"file\"%'")
        assert await bench.resumed(cut(journal, tmp_path / "a.db", begun), host, first_pid(journal)) == "once "
        # The control: where nobody asks the store, it is made again.
        monkeypatch.setattr(FileCore, "settle", _finds_nothing)
        found = await bench.resumed(cut(journal, tmp_path / "b.db", begun), host, first_pid(journal))
        assert found == "once once "


async def _finds_nothing(_core: FileCore, _turn: Turn) -> None:
    return None


CHECKS = (
    HEAD
    + """\
    done = [*(agent.state or [])]
    for at in range(len(done), 4):
        await agent.ask(f"{at} of {len(done)}")
        done.append(await agent.ask(f"step {at}"))
        await agent.checkpoint(done)
    return json.dumps([done, agent.state])
"""
)


async def test_a_program_with_checkpoints_begins_at_the_last_one(bench: Bench, tmp_path: Path) -> None:
    bench.program("checks", CHECKS)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        done, state = json.loads(await bench.whole(journal, host, "checks"))
        assert state is None
        begun = []
        for seq in places(journal, "'accepted','done'")[2:-1]:
            bench.core.asked.clear()
            again = cut(journal, tmp_path / f"{seq}.db", seq)
            found, state = json.loads(await bench.resumed(again, host, first_pid(journal)))
            assert found == done
            assert not [each for each in bench.core.asked if int(each[-1 if "step" in each else 0]) < len(state or [])]
            begun.append(len(state or []))
    assert begun == sorted(begun)
    assert set(begun) == {0, 1, 2, 3, 4}


MISBEHAVES = (
    HEAD
    + """\
    import os
    first = await agent.ask("first")
    await agent.ask("pid " + str(os.getpid()))
    return first
"""
)


async def test_a_program_that_asks_something_else_is_told_what_and_why(bench: Bench, tmp_path: Path) -> None:
    bench.program("other", MISBEHAVES)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        await bench.whole(journal, host, "other")
        again = cut(journal, tmp_path / "again.db", places(journal, "'done'")[-2])
        found = await bench.resumed(again, host, first_pid(journal))
    assert "replay_mismatch" in found
    assert "its call 2 was llm.chat" in found
    assert "the usual causes: the time, random numbers, the environment" in found


STREAMS = (
    HEAD
    + """\
    heard = []
    async with agent.stream("a stream") as pieces:
        async for piece in pieces:
            heard.append(piece)
            await agent.ask(f"heard {len(heard)}")
    return "".join(heard) + " " + pieces.reply.text
"""
)


async def test_a_stream_goes_on_where_it_was_heard_to(bench: Bench, tmp_path: Path) -> None:
    bench.program("streams", STREAMS)
    found = await resumes_everywhere(bench, tmp_path, "streams")
    assert set(found) == {found[0]}
    text, whole = found[0].split()
    assert text == whole


MAILS = (
    HEAD
    + """\
    pid = await agent.spawn("replies")
    for at in range(3):
        await agent.send(pid, f"mail {at} ")
    return await agent.wait(pid)
"""
)


async def test_mail_is_delivered_once_and_a_child_is_one_child(bench: Bench, tmp_path: Path) -> None:
    bench.program("mails", MAILS)
    bench.program("replies", REPLIES)
    found = await resumes_everywhere(bench, tmp_path, "mails")
    assert set(found) == {found[0]}
    assert found[0].count("mail") == 3


SPENDS = (
    HEAD
    + """\
    for at in range(3):
        await agent.ask(f"spend {at}")
    left = await agent.left()
    return f"{left.tokens} {left.calls}"
"""
)


async def test_what_was_used_of_a_budget_stays_used_once(bench: Bench, tmp_path: Path) -> None:
    bench.program("spends", SPENDS)
    bench.program("parent", HEAD + "    return await agent.run('spends', budget=Budget(tokens=5000, calls=50))\n")
    found = await resumes_everywhere(bench, tmp_path, "parent")
    assert set(found) == {found[0]}
    assert found[0].endswith(" 47")


async def test_a_run_that_was_resumed_is_cut_off_and_resumed_again(bench: Bench, tmp_path: Path) -> None:
    bench.program("generated", GENERATED.read_text())
    bench.program("leaf", LEAF)
    bench.program("replies", REPLIES)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        whole = await bench.whole(journal, host, "generated", "8")
        all = places(journal, "'accepted','done','cancelled'")
        for share in (0.3, 0.6):
            again = cut(journal, tmp_path / f"{share}.db", all[int(len(all) * share)])
            assert await bench.resumed(again, host, first_pid(journal)) == whole
            resumed = places(again, "'resumed'")[0]
            later = [seq for seq in places(again, "'accepted','done','cancelled'") if seq > resumed]
            for seq in later[:: max(1, len(later) // 4)]:
                third = cut(again, tmp_path / f"{share}-{seq}.db", seq)
                assert await bench.resumed(third, host, first_pid(journal)) == whole, (share, seq)
