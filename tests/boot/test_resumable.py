"""Which runs on record can be resumed, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aios.boot import Durability, check_unchanged, resumable, run_fingerprint
from aios.config import Config
from aios.record import Event, Kind, RunRecord, SqliteJournal, runs
from aios_syscalls import AiosError, BadRequest, Conflict

pytestmark = pytest.mark.anyio


async def recorded(tmp_path: Path, facts: Mapping[str, Any]) -> RunRecord:
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal:
        journal.record(Event(0.0, Kind.RUN, 0, 0, {"run": "r", **facts}, run="r"))
    return runs(path)[0]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "mine.py").write_text("async def main(agent, task):\n    return task\n")
    return Config(root=tmp_path, agents=(tmp_path,))


async def test_a_durable_run_is_resumed_as_it_was_hosted_and_configured(tmp_path: Path, config: Config) -> None:
    durability = Durability()
    record = await recorded(tmp_path, durability.facts(config))
    found, again = resumable(record)
    assert (found.hash_seed, found.resume, again) == (durability.hash_seed, record, config)


@pytest.mark.parametrize(
    ("facts", "error", "why"),
    [
        ({}, BadRequest, "was not recorded for that"),
        ({"durable": {"hash_seed": 1, "config": {"seed": 1, "yesterday": 2}}}, Conflict, "whose yesterday this"),
        ({"durable": {"hash_seed": 1, "config": {"limits": {"calls": "many"}}}}, Conflict, r"whose limits\.calls this"),
    ],
)
async def test_another_is_refused_in_words(
    tmp_path: Path, facts: Mapping[str, Any], error: type[AiosError], why: str
) -> None:
    record = await recorded(tmp_path, facts)
    with pytest.raises(error, match=why):
        resumable(record)


async def check(tmp_path: Path, config: Config, programs: Iterable[str], change: str | None) -> None:
    record = await recorded(tmp_path, {"fingerprint": run_fingerprint(config)})
    file = tmp_path / "mine.py"
    file.write_text(change) if change is not None else file.unlink()
    check_unchanged(record, {*programs}, config)


async def test_a_program_that_was_changed_is_named(tmp_path: Path, config: Config) -> None:
    with pytest.raises(Conflict, match=r"mine\.py was changed since it began.*--anyway"):
        await check(tmp_path, config, ["mine"], "async def main(agent, task):\n    return 1\n")


async def test_a_program_that_is_gone_is_named(tmp_path: Path, config: Config) -> None:
    with pytest.raises(Conflict, match="its program mine is gone"):
        await check(tmp_path, config, ["mine"], None)


async def test_a_program_that_is_the_same_or_takes_no_part_is_none_to_tell_of(tmp_path: Path, config: Config) -> None:
    await check(tmp_path, config, ["mine"], (tmp_path / "mine.py").read_text())
    await check(tmp_path, config, ["answer"], "async def main(agent, task):\n    return 2\n")
