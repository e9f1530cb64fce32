"""The bench of the wall: over the real thing in small, and what its report makes of what was found."""

from __future__ import annotations

import math
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from aios.bench import wall
from aios.bench.paired import median_interval
from aios.bench.wall.attempts import KINDS, attempt
from aios.bench.wall.honest import HONEST
from aios.bench.wall.probes import PROBES, ProbeTarget
from aios.bench.wall.users import users


@pytest.mark.whole
def test_probes_honest_programs_and_spawns_are_measured_in_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall, "users", lambda: users()[-1:])
    report = wall.main(True)
    figures = {name: value for name, value in report.figures.items() if value is not None}
    print(f"the wall is {report.machine['rung']} here")
    assert figures["probes"] == len(PROBES) > figures["control_passed"] >= 90
    assert figures["honest"] == len(HONEST) == figures["honest_passed"]
    assert figures["spawn_pairs"] == 40
    assert 0 < figures["spawn_ratio_low"] <= figures["spawn_ratio"] <= figures["spawn_ratio_high"]
    assert {target.name for target in report.targets} == {"stopped_share", "spawn_ratio", "honest_share"}
    if report.machine["rung"] == "full":
        assert figures["stopped_share"] >= 0.97
    else:
        assert figures["stopped"] < figures["control_passed"]


def seen(**changed: Any) -> dict[str, Any]:
    """What a user has found: of three probes that get through without a wall two are stopped."""
    return {
        "rung": "full",
        "found": {
            "control": {"a": None, "b": None, "c": None, "no such call": "ENOSYS"},
            "auto": {"a": "EPERM", "b": "EACCES", "c": None, "no such call": "ENOSYS"},
            "exec": {"a": "EPERM", "b": None, "c": None, "no such call": "ENOSYS"},
        },
        "honest": {
            "off": {"x": None, "y": None, "z": "not here"},
            "auto": {"x": None, "y": "refused", "z": "not here"},
        },
        "pairs": [(2.0, 1.0), (3.0, 2.0), (9.0, 6.0)],
        **changed,
    }


def test_only_what_gets_through_without_a_wall_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall, "users", lambda: ("ordinary",))
    monkeypatch.setattr(wall, "_measured", lambda *_: seen())
    report = wall.main(True)
    figures = report.figures
    assert (figures["probes"], figures["control_passed"], figures["stopped"]) == (4, 3, 2)
    assert (figures["honest"], figures["honest_passed"]) == (2, 1)
    assert (figures["spawn_ratio"], figures["spawn_ratio_of_p50s"]) == (1.5, 1.5)
    assert figures["ordinary_stopped_exec"] == 1
    assert {target.name for target in report.targets if not target.met} == {
        "stopped_share",
        "spawn_ratio",
        "honest_share",
    }
    said = "\n".join(report.notes)
    for words in ("through the wall: c", "honest and refused: y", "fails without a wall too: z", "the wall is full"):
        assert words in said


def test_of_several_users_the_one_for_whom_it_is_worse_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    better = seen(
        pairs=[(1.0, 1.0)], found={**seen()["found"], "auto": dict.fromkeys(seen()["found"]["auto"], "EPERM")}
    )
    found = {"root": better, "ordinary": seen()}
    monkeypatch.setattr(wall, "users", lambda: tuple(found))
    monkeypatch.setattr(wall, "_measured", lambda user, _quick: found[user])
    figures = wall.main(True).figures
    assert (figures["stopped"], figures["root_stopped_auto"], figures["ordinary_stopped_auto"]) == (2, 3, 2)
    assert (figures["spawn_ratio"], figures["root_spawn_ratio"]) == (1.5, 1.0)


@pytest.mark.whole
def test_a_probe_whose_wall_is_not_up_is_no_probe(tmp_path: Path) -> None:
    for name in ("scratch", "programs"):
        (tmp_path / name).mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        target = ProbeTarget(tmp_path, tmp_path / "secret", 0, 0, 0, 0, "", "", 0, 0, 0, datagrams)
        assert attempt(lambda _: None, target, KINDS["auto"]) is None
        (tmp_path / "scratch").rmdir()
        with pytest.raises(OSError, match="no wall"):
            attempt(lambda _: None, target, KINDS["auto"])


def test_the_interval_of_a_median_holds_it_nineteen_times_of_twenty() -> None:
    dice = random.Random(5)
    held = 0
    for _ in range(400):
        low, high = median_interval([dice.expovariate(1) for _ in range(60)])
        held += low <= math.log(2) <= high
    assert 370 <= held < 400
    assert median_interval([3.0]) == (3.0, 3.0)
