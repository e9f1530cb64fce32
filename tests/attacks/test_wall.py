"""Agents that try to get out: what `aios.bench.wall.probes` tries, without a wall and behind each.

A wall test without its control proves nothing, so only probes count that get through where there is no wall. Where the
machine has not all of a wall, its rung is what is tested, and is printed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aios.bench.wall import probes
from aios.bench.wall.users import new_place, start, told, users
from aios.wall.agent import Rung, rung

pytestmark = pytest.mark.whole

Through = set[str]
TRY = """
import json, sys
from pathlib import Path
from aios.bench.wall import attempts
from aios.wall.agent import rung
print(json.dumps({"rung": rung(), "found": getattr(attempts, sys.argv[2])(Path(sys.argv[1]))}))
"""
OPEN_WITHOUT_LANDLOCK = ("files: ", "devices: ", "proc: ", "taking down: ", "passing: ")
"""Groups that are about files: without Landlock nothing guards those."""
WITH_EXEC = {
    *(f"starting: {name}" for name in probes.STARTING),
    *(f"kernel: {name}" for name in probes.USERS),
    "processes: signal all",  # which then means the processes that it has started
    "processes: the parent's end, unheard",
    "taking down: open again",
}
"""What starting programs takes; all of it is still behind the same wall."""
PASSING = {f"passing: {name}" for name in probes.PASSING}


@pytest.fixture(scope="module", params=users())
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What came of every probe behind every wall, as this user."""
    return probed(request.param)


def probed(user: str, how: str = "tried") -> dict[str, Any]:
    with new_place(user) as place, start(TRY, user, str(place), how) as process:
        said = told(process)
    found: dict[str, Any] = {"user": user, **json.loads(said)}
    print(f"as {user}: the wall is {found['rung']} here")
    return found


def through(found: dict[str, Any], kind: str) -> Through:
    """The probes that got through this wall and where there is none."""
    control = found["found"]["control"]
    return {name for name, error in found["found"][kind].items() if error is None and control[name] is None}


def without_files(names: Through) -> Through:
    return {name for name in names if not name.startswith(OPEN_WITHOUT_LANDLOCK)}


def test_an_agent_does_not_get_out(found: dict[str, Any]) -> None:
    passed, tried = through(found, "auto"), through(found, "control")
    print(f"{len(tried - passed)} of {len(tried)} stopped; passed: {sorted(passed)}")
    assert len(tried) >= 90, {name: error for name, error in found["found"]["control"].items() if error}
    if found["rung"] == "full":
        assert passed <= PASSING
        assert len(passed) <= 0.03 * len(tried)
    elif found["rung"] == "partial":
        assert without_files(passed) == set()


def test_without_landlock_an_agent_gets_at_files_and_at_nothing_else(found: dict[str, Any]) -> None:
    passed = through(found, "auto without Landlock")
    assert "files: read a secret" in passed
    if found["rung"] != "none":
        assert without_files(passed) == set()


def test_an_older_system_has_as_much_of_a_wall_as_it_can() -> None:
    """Files are closed from the first version of Landlock on, and with it alone where there is no seccomp."""
    found = probed(users()[-1], "tried_on_older")
    passed = {kind: through(found, kind) for kind in found["found"] if kind != "control"}
    closed = {name for name in through(found, "control") if name.startswith(("files: ", "devices: "))}
    print({kind: len(names) for kind, names in passed.items()})
    assert len(closed) >= 30
    assert closed - passed["without both"] <= {"devices: a device of its own"}  # which takes a capability
    if found["rung"] == "full":
        assert {kind: names - PASSING for kind, names in passed.items() if kind.startswith("Landlock ")} == {
            f"Landlock {version}": set() for version in (1, 2, 3, 4, 5, 6)
        }
        assert closed & passed["without seccomp"] == set()


@pytest.mark.parametrize(
    ("version", "filter", "expected"),
    [
        *((version, True, "partial") for version in (0, 1, 2, 3)),
        *((version, True, "full") for version in (4, 5, 6, 7, 8, 100)),
        *((version, False, "none") for version in (0, 1, 4, 7)),
    ],
)
def test_the_rung_is_what_the_system_has(
    version: int, filter: bool, expected: Rung, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios.wall.landlock.version", lambda: version)
    monkeypatch.setattr("aios.wall.seccomp.available", lambda: filter)
    assert rung() == expected


def test_where_an_agent_may_start_programs_they_are_behind_the_same_wall(found: dict[str, Any]) -> None:
    passed = through(found, "exec")
    if found["rung"] == "full":
        assert {"starting: a program", "starting: a shell", "starting: another Python"} <= passed
        assert passed <= PASSING | WITH_EXEC
    elif found["rung"] == "partial":
        assert without_files(passed) <= WITH_EXEC


def test_what_passes_is_said(found: dict[str, Any]) -> None:
    said = Path(__file__).parents[2].joinpath("SECURITY.md").read_text()
    for name in probes.PASSING:
        assert name in said
