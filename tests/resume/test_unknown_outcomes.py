"""A tool that was called as its kernel died: its program hears what the user says, and it is not called twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aios.record import SqliteJournal, record_decision, runs, unknown_calls
from aios_syscalls import Conflict, NoKernel
from tests.resume.conftest import Bench, cut, first_pid, places

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

PAYS = """
from aios.sdk import *
from aios_syscalls import *

async def main(agent, task):
    try:
        return f"paid {await agent.call('count', name='paid')}"
    except AiosError as error:
        return error.code
"""
IN_A_GRAPH = PAYS.replace("agent.call(", "agent.graph().call(")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("program", [PAYS, IN_A_GRAPH], ids=["call", "node"])
async def test_what_the_user_says_is_what_the_program_hears(bench: Bench, tmp_path: Path, program: str) -> None:
    journal, paid = tmp_path / "journal.db", tmp_path / "paid"
    bench.program("pays", program)
    done, failed = {"ok": {"value": 41}}, {"error": NoKernel("no").to_wire()}
    said: list[tuple[Any, Any, str, int]] = [
        (None, None, "outcome_unknown", 1),
        ("done", done, "paid 41", 1),
        ("failed", failed, "no_kernel", 1),
        ("retry", None, "paid 2", 2),
    ]
    async with bench.host as host:
        assert await bench.whole(journal, host, "pays") == "paid 1"
        (seq,) = places(journal, "'started'", "data LIKE '%\"tool\"%'")
        for decision, outcome, result, times in said:
            paid.write_text("x\n")
            again = cut(journal, tmp_path / f"{decision}.db", seq)
            async with SqliteJournal(again):
                pass
            (found,) = unknown_calls(again)
            assert (found.name, found.program, found.told) == ("tool.call", "pays", False)
            if decision:
                record_decision(found, decision, outcome)
                with pytest.raises(Conflict):
                    record_decision(found, decision, outcome)
            assert await bench.resumed(again, host, first_pid(again)) == result
            assert len(paid.read_text().split()) == times
            after = [(each.decision, each.told) for each in unknown_calls(again)]
            assert after == ([] if decision == "retry" else [(decision or "", decision is None)])
            assert len(runs(again)) == 1
