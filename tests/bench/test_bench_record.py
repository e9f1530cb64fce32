"""The bench of the record of runs."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aios.bench import record
from aios.record import ALL_KINDS, History, Kind, SqliteJournal, runs


async def put_on_record(path: Path, count: int) -> None:
    async with SqliteJournal(path) as journal:
        for event in record._events("r", 1, count):
            journal.record(event)


@pytest.mark.parametrize("count", [9, 10, 101])
def test_a_made_up_run_is_one_that_is_read(tmp_path: Path, count: int) -> None:
    anyio.run(put_on_record, tmp_path / "journal.db", count)
    (run,) = runs(tmp_path / "journal.db")
    history = History.of(run.events(ALL_KINDS))
    assert {process.state for process in history.processes.values()} == {"done"}
    assert history.ended_once()
    assert count <= sum(history.kinds[kind] for kind in Kind) <= count + 2


@pytest.mark.whole
def test_both_commands_are_timed() -> None:
    report = record.main(quick=True)
    assert report.figures["payload_gib"]
    assert report.figures["payload_gib"] > 0.05
    assert report.figures["ps_ratio"]
    assert report.figures["runs_s"]
