"""Runs made of events, and a home of their own for those that are written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios.config import journal_path
from aios.record import Event, History, Kind, RunRecord, SqliteJournal, runs

FACTS = {
    "run": "20260102-030405-abcd",
    "began": "2026-01-02T03:04:05.678+00:00",
    "scheduler": "round_robin",
    "slice": 16,
    "models": {"tiny": 2},
}


class Story:
    """Writes down what happens in a made-up run."""

    def __init__(self, **facts: Any) -> None:
        self.events = [Event(0.0, Kind.RUN, 0, 0, {**FACTS, **facts})]

    def spawn(self, at: float, pid: int, program: str = "worker", task: str = "", parent: int = 0) -> None:
        self.add(at, Kind.SPAWNED, pid, 0, parent=parent, program=program, task=task)

    def exit(self, at: float, pid: int, state: str = "done", result: str | None = "fine") -> None:
        error = None if state == "done" else {"code": "agent_failed", "message": "it fell over"}
        self.add(at, Kind.EXITED, pid, 0, state=state, result=result if state == "done" else None, error=error)

    def call(
        self,
        id: int,
        pid: int,
        accepted: float,
        slices: Iterable[tuple[float, float]],
        *,
        name: str = "llm.chat",
        end: Kind | None = Kind.DONE,
        tokens: int = 0,
    ) -> None:
        """A call whose slices each end in a pause, the last one in `end`; None leaves it paused."""
        self.add(accepted, Kind.ACCEPTED, pid, id, name=name, call={"messages": [{"role": "user", "content": "hi"}]})
        turns = list(slices)
        for number, (start, stop) in enumerate(turns, 1):
            self.add(start, Kind.STARTED, pid, id)
            if number < len(turns) or end is None:
                self.add(stop, Kind.PAUSED, pid, id, tokens=tokens * number // len(turns))
            else:
                self.add(stop, end, pid, id, tokens=tokens, model="tiny", reply={"text": "hello\nthere"})

    @property
    def history(self) -> History:
        return History.of(sorted(self.events, key=lambda event: event.at))

    def write(self) -> RunRecord:
        """The run, on record on the disk."""
        path, run = journal_path(), self.events[0].data["run"]

        async def write() -> None:
            async with SqliteJournal(path) as journal:
                for event in sorted(self.events, key=lambda event: event.at):
                    journal.record(event._replace(run=run))

        anyio.run(write)
        return next(each for each in runs(path) if each.id == run)

    def add(self, at: float, kind: Kind, pid: int, id: int, /, **data: Any) -> None:
        """Something that happens to a call, or, where its id is 0, to a process."""
        self.events.append(Event(at, kind, pid, id, data))


@pytest.fixture
def story() -> Callable[..., Story]:
    return Story


@pytest.fixture
def busy() -> Story:
    """Two agents on one slot, the second with a child; a call of each is preempted once."""
    story = Story()
    story.spawn(0.0, 1, "summarise", "notes.txt")
    story.spawn(0.0, 2, "planner", "plan the week")
    story.spawn(0.5, 3, "worker", "monday", parent=2)
    story.call(1, 1, 0.0, [(0.0, 1.0), (2.0, 3.0)], tokens=20)
    story.call(2, 2, 0.0, [(1.0, 2.0), (3.0, 4.0)], tokens=24)
    story.call(3, 3, 0.5, [(4.0, 4.5)], name="tool.call")
    story.call(4, 3, 4.0, [(4.5, 5.0)], end=Kind.FAILED)
    story.exit(3.5, 1, result="A festival took place.")
    story.exit(4.5, 2, result="monday: shopping")
    story.exit(5.0, 3, "failed")
    return story


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs and settings of these tests, and none of the user's."""
    for variable in (
        "AIOS_SCHEDULER",
        "AIOS_SLICE",
        "AIOS_MODEL",
        "AIOS_ROOT",
        "OPENAI_API_KEY",
        "NO_COLOR",
        "COLUMNS",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory of agent programs, which `aios` finds because it is called `agents`."""
    directory = tmp_path / "agents"
    directory.mkdir()
    (directory / "echo.py").write_text(
        '"""Says its task again."""\n\n\nasync def main(agent, task):\n    return task\n'
    )
    shutil.copy(directory / "echo.py", tmp_path / "elsewhere.py")
    return directory
