"""Bugs planted into what a resumed run is made of: the checks of durable runs have to find each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aios.record import Event, Kind
from tests.resume.conftest import Bench, cut, first_pid, places
from tests.resume.test_durable_runs import COUNTS, HEAD, MAILS, REPLIES, SPENDS

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

folded: Any = importlib.import_module("aios.record.past")  # in the package that name is the function

PARENT = HEAD + "    return await agent.run('spends', budget=Budget(tokens=5000, calls=50))\n"
PROGRAMS = {"counts": COUNTS, "mails": MAILS, "replies": REPLIES, "spends": SPENDS, "parent": PARENT}


def tools_run_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folded, "outcome_unknown", lambda _name, **_: False)


def mail_stays(patch: pytest.MonkeyPatch) -> None:
    right: Callable[..., None] = folded._Fold._took_effect

    def wrong(fold: Any, event: Event, life: Any, call: Any) -> None:
        if call.name != "process.receive":
            right(fold, event, life, call)

    patch.setattr(folded._Fold, "_took_effect", wrong)


def used_twice(patch: pytest.MonkeyPatch) -> None:
    right: Callable[..., None] = folded._Fold._charge

    def wrong(fold: Any, event: Event) -> None:
        right(fold, event)
        if event.kind is Kind.ACCEPTED:
            right(fold, event)

    patch.setattr(folded._Fold, "_charge", wrong)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def cut_off(bench: Bench, tmp_path: Path, program: str, where: str, plant: Callable[[], None]) -> set[str]:
    """The results of a program: of the undisturbed one and, with the bug, of those cut off after some answers."""
    for name, source in PROGRAMS.items():
        bench.program(name, source)
    journal = tmp_path / "journal.db"
    async with bench.host as host:
        found = {await bench.whole(journal, host, program)}
        plant()
        for seq in places(journal, "'started','done'", where):
            again = cut(journal, tmp_path / f"{seq}.db", seq)
            found.add(await bench.resumed(again, host, first_pid(journal)))
    return found


@pytest.mark.parametrize(
    ("program", "plant"),
    [("mails", mail_stays), ("parent", used_twice)],
    ids=["a message comes twice", "a budget is used twice"],
)
async def test_a_planted_bug_shows_in_what_a_program_comes_to(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, plant: Callable[..., None]
) -> None:
    assert len(await cut_off(bench, tmp_path, program, "n > 2", lambda: plant(monkeypatch))) > 1


async def test_a_tool_that_runs_twice_shows_in_what_it_did(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = "kind = 'started' AND data LIKE '%\"tool\"%'"
    found = await cut_off(bench, tmp_path, "counts", begun, lambda: tools_run_again(monkeypatch))
    assert found == {"1 times", "2 times"}
