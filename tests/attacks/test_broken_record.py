"""What an agent sends, however odd, costs at most its own part of the record: the run and its neighbours go on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import to_json

from aios.record import Event, History, Kind, SqliteJournal, read_events
from aios.record.database import SCHEMA, insert_events
from aios.record.row import Row
from aios_syscalls import AgentFailed, ProcessState, Send
from tests.attacks.hostile import ended, kernel_with, start

pytestmark = pytest.mark.anyio

FRAMES = {
    "a number that is none": b'{"error": {"code": "x", "message": "m", "n": NaN}}',
    "infinity": b'{"error": {"code": "x", "message": "m", "n": [Infinity, -Infinity, 1e400]}}',
    "many digits": b'{"error": {"code": "x", "message": "m", "n": ' + b"9" * 4_000 + b"}}",
    "too many digits": b'{"error": {"code": "x", "message": "m", "n": ' + b"9" * 10_000 + b"}}",
    "deep": b'{"error": {"code": "x", "message": "m", "n": ' + b"[" * 190 + b"]" * 190 + b"}}",
    "too deep": b'{"error": {"code": "x", "message": "m", "n": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
    "half a surrogate pair": b'{"error": {"code": "x", "message": "\\ud800", "\\ud800": "\\udfff"}}',
    "no text in the message": b'{"error": {"code": 7, "message": [NaN, {}]}}',
    "a nul": b'{"error": {"code": "\\u0000", "message": "a\\u0000b", "": 1}}',
    "fields of our own": b'{"error": {"code": "overloaded", "retry_after_s": "soon", "self": 1, "message": "m"}}',
    "a call of such values": b'{"id": 1, "stream": false, "call": {"call": "tool.call", "tool": "t", '
    b'"arguments": {"x": [NaN, 1e400, -1e400]}}}\n{"result": "done"}',
    "a large message": b'{"error": {"code": "x", "message": "' + b"x" * 900_000 + b'"}}',
    "no utf-8": b'{"error": {"code": "x", "message": "\xff\xfe"}}',
}
POISON = """
for line in bytes.fromhex(task).split(b"\\n"):
    await agent.port._frames.send(line)
os._exit(0)
"""
FINE = """
answers = [await agent.ask(str(number)) for number in range(20)]
await agent.receive()
return "".join(answers + [await agent.ask("last")])
"""


def strict(path: Path) -> list[Any]:
    """The data of each row of a record, as a reader has it that knows JSON and nothing more."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    with closing(sqlite3.connect(path)) as db:
        return [json.loads(data, parse_constant=refuse) for (data,) in db.execute("SELECT data FROM event")]


@pytest.mark.whole
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_frame_of_an_agent_breaks_the_record(tmp_path: Path) -> None:
    async with kernel_with(tmp_path, {"poison": POISON, "fine": FINE}) as kernel:
        neighbour = await start(kernel, "fine")
        pids = [await start(kernel, "poison", frame.hex()) for frame in FRAMES.values()]
        ends = [await ended(kernel, pid) for pid in pids]
        await kernel.submit(Send(to=neighbour, body="go on"))
        last = await ended(kernel, neighbour)
    assert last.state is ProcessState.DONE
    assert last.result == "ok" * 21
    assert [end.state for end in ends if end.result is None] == [ProcessState.FAILED] * (len(FRAMES) - 1)
    rows = strict(tmp_path / "journal.db")
    history = History.of(read_events(tmp_path / "journal.db"))
    assert len(history.processes) == 1 + len(FRAMES)
    assert history.ended_once()
    assert len(rows) > 60


def test_without_the_defence_one_such_row_makes_the_whole_batch_fail() -> None:
    """The control: SQLite refuses all rows of a statement for one number that JSON has not."""
    rows = [
        Row(Event(0.0, Kind.EXITED, 1, 0, {}), to_json({"n": value}), {}).values(1, seq, seq - 1, "", 1, 0)
        for seq, value in enumerate((1, float("nan")), 1)
    ]
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        with pytest.raises(sqlite3.OperationalError, match="malformed JSON"):
            insert_events(db, rows)
        assert db.execute("SELECT count(*) FROM event").fetchone() == (0,)


class Unwritable:
    """A value whose serializer fails in a way that nobody foresees."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": [value]}
    return value


def cyclic() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=4),
    st.binary(max_size=20),
    st.builds(deep, st.sampled_from([1, 90, *range(120, 130), 130, 400, 5_000])),
    st.builds(cyclic),
    st.builds(Unwritable),
    st.builds(lambda: AgentFailed("x", n=float("nan"), s="\ud800").to_wire()),
)
VALUES = st.recursive(
    ODD,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), children),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6))
def test_every_value_is_kept_or_described_and_its_neighbours_are_kept_whole(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("record") / "journal.db"

    async def write() -> None:
        async with SqliteJournal(path) as journal:
            for value in values:
                journal.record(Event(0.5, Kind.FAILED, 1, 1, {"tokens": 3, "error": value}))
                journal.record(Event(0.5, Kind.DONE, 2, 2, {"reply": {"text": "whole"}}))

    anyio.run(write)
    rows = strict(path)
    assert len(rows) == len(list(read_events(path))) == 2 * len(values)
    assert rows[1::2] == [{"reply": {"text": "whole"}}] * len(values)
    assert [row["tokens"] for row in rows[::2]] == [3] * len(values)


async def test_what_sqlite_alone_refuses_costs_its_own_payload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def trusting(event: Event) -> Row:  # lets NaN through to SQLite
        return Row(event, to_json(event.data), {})

    monkeypatch.setattr("aios.record.sqlite.row", trusting)
    path = tmp_path / "journal.db"
    async with SqliteJournal(path) as journal:
        for number, value in enumerate([1.0, float("nan"), 2.0]):
            journal.record(Event(0.0, Kind.DONE, 5, number, {"tokens": number, "reply": {"value": value}}))
    rows = strict(path)
    assert [row["tokens"] for row in rows] == [0, 1, 2]
    assert [row["reply"] for row in rows[::2]] == [{"value": 1.0}, {"value": 2.0}]
    assert rows[1]["reply"] == {"value": None}
    assert "process 5 is without its payload" in caplog.text


async def test_payloads_on_record_are_weighed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aios.record.sqlite.PAYLOADS_PER_PROCESS", 200_000)
    monkeypatch.setattr("aios.record.sqlite.PAYLOADS", 500_000)
    path = tmp_path / "journal.db"
    async with SqliteJournal(path) as journal:
        for pid in (1, 2, 3, 4):
            for number in range(50):
                journal.record(Event(0.0, Kind.DONE, pid, number, {"tokens": number, "reply": {"text": "x" * 9_000}}))
            journal.record(Event(0.0, Kind.DONE, pid, 50, {"tokens": 50, "reply": {"text": "small"}}))
    rows = strict(path)
    assert [row["tokens"] for row in rows] == [*range(51)] * 4
    assert all(row["reply"] == {"text": "small"} for row in rows if row["tokens"] == 50)
    whole = [event.data for event in read_events(path)]
    assert 0 < sum("text" in data["reply"] for data in whole if data["tokens"] < 50) <= 500_000 / 9_000 + 1
    assert all("has its fill" in data["reply"]["omitted"] for data in whole if "text" not in data["reply"])
    assert path.stat().st_size < 1_000_000


async def test_no_depth_is_between_what_is_kept_and_what_is_left_out(tmp_path: Path) -> None:
    path, depths = tmp_path / "journal.db", range(240, 262)
    async with SqliteJournal(path) as journal:
        for depth in depths:
            value: Any = 1
            for _ in range(depth):
                value = [value]
            journal.record(Event(0.0, Kind.DONE, 1, depth, {"tokens": depth, "reply": value}))
            journal.record(Event(0.0, Kind.FAILED, 1, depth, {"tokens": depth, "error": {"code": "x", "cause": value}}))
    rows = strict(path)
    assert [row["tokens"] for row in rows] == [depth for depth in depths for _ in range(2)]
    assert rows[-1]["error"] == {"omitted": "not JSON: PydanticSerializationError"}
