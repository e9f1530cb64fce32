"""Durable runs, cut off and gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.resume.conftest import Bench, cut, first_pid, places

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

HEAD = "from aios.sdk import *\nimport anyio, json\n\nasync def main(agent, task):\n"

PLAIN = (
    HEAD
    + """\
    a = await agent.ask("one")
    b = await agent.ask(a)
    await agent.write("out.txt", b)
    await agent.append("out.txt", "more")
    c = await agent.call("count", name="counted") if False else 0
    return f"{a} {b} {await agent.read_text('out.txt') if hasattr(agent, 'read_text') else ''} {c}"
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
    bench.program("generated", Path(__file__).with_name("generated.py").read_text())
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
