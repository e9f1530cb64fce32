"""The wall around agents: who gets out, what honest programs lose, and what it adds to an agent's start."""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aios.bench import Report, at_least, at_most
from aios.bench.paired import median_interval
from aios.bench.progress import progress
from aios.bench.wall.users import new_place, start, told, users
from aios.wall.seccomp import MACHINES
from aios_syscalls import BadRequest, KernelBug

Seen = Mapping[str, Any]
"""What `measure.py` has printed for one user."""
MEASURE = "import sys; from pathlib import Path; from aios.bench.wall.measure import main; main(Path(sys.argv[1]), {})"
WITHIN_S = 900.0
NOTES = (
    "a probe or an honest program counts where it gets through without a wall (control_passed, honest); of several "
    "users the one for whom a figure is worse stands without a name",
    "spawn_ratio is the median, over pairs that run right after each other, of seconds from spawn to result with the "
    "wall over those without; low and high hold the median with 95 %; spawn_ratio_of_p50s is the ratio of both medians",
    "exec lets agents start programs, and without Landlock files are open: what passes there is meant to",
)


def main(quick: bool) -> Report:
    """Probes and honest programs behind walls of each kind, and 400 pairs of spawns, as root and an ordinary user.

    Where this process may not change who it is, as the user that it has. Raises BadRequest where probes cannot be made.
    """
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise BadRequest(f"the probes are Linux's on {' or '.join(MACHINES)}; run this benchmark on such a machine")
    found = {user: _measured(user, quick) for user in users()}
    figures = _worst([_summary(seen) for seen in found.values()])
    for user, seen in found.items():
        figures |= {f"{user}_{name}": value for name, value in _details(seen).items()}
    rung = next(iter(found.values()))["rung"]
    goals = [at_least("stopped_share", 0.97), at_most("spawn_ratio", 1.35), at_least("honest_share", 1.0)]
    report = Report.of("wall", figures, goals, notes=[*_passed(found, rung), *NOTES])
    return replace(report, machine={**report.machine, "rung": rung, "users": list(found)})


def _measured(user: str, quick: bool) -> Seen:
    """What this user finds, in a process of its own."""
    with new_place(user) as place, progress() as tell, start(MEASURE.format(quick), user, str(place)) as process:
        tell(f"as {user}: probes, honest programs, spawns")
        said = told(process, WITHIN_S)
    if process.returncode != 0:
        raise KernelBug(f"the measuring process of user {user} ended with {process.returncode}; please report this")
    found: Seen = json.loads(said)
    return found


def _summary(seen: Seen) -> dict[str, float]:
    """The figures of the default wall for one user."""
    control, stopped = _control(seen), _stopped(seen, "auto")
    able, served = _able(seen), _served(seen, "auto")
    return {
        "probes": len(seen["found"]["control"]),
        "control_passed": len(control),
        "stopped": len(stopped),
        "stopped_share": len(stopped) / len(control),
        "honest": len(able),
        "honest_passed": len(served),
        "honest_share": len(served) / len(able),
        **_spawn(seen["pairs"]),
    }


def _spawn(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    ratios = [walled / bare for walled, bare in pairs]
    low, high = median_interval(ratios)
    walled, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "spawn_ratio": statistics.median(ratios),
        "spawn_ratio_low": low,
        "spawn_ratio_high": high,
        "spawn_ratio_of_p50s": walled / bare,
        "spawn_ms": walled * 1e3,
        "spawn_without_ms": bare * 1e3,
        "spawn_pairs": len(pairs),
    }


def _worst(summaries: Sequence[dict[str, float]]) -> dict[str, float | None]:
    """Of several users', each group of figures from the one for whom it is worse."""
    probes = min(summaries, key=lambda each: each["stopped_share"])
    honest = min(summaries, key=lambda each: each["honest_share"])
    spawn = max(summaries, key=lambda each: each["spawn_ratio"])
    chosen: dict[str, float | None] = {}
    for name in probes:
        chosen[name] = (honest if "honest" in name else spawn if "spawn" in name else probes)[name]
    return chosen


def _details(seen: Seen) -> dict[str, float]:
    """For one user: what is stopped behind each kind of wall, what honest programs do at each level, the spawn."""
    kinds = [kind for kind in seen["found"] if kind != "control"]
    levels = [level for level in seen["honest"] if level != "off"]
    return {
        "control_passed": len(_control(seen)),
        **{f"stopped_{kind.replace(' ', '_').lower()}": len(_stopped(seen, kind)) for kind in kinds},
        "honest": len(_able(seen)),
        **{f"honest_passed_{level}": len(_served(seen, level)) for level in levels},
        "spawn_ratio": _spawn(seen["pairs"])["spawn_ratio"],
    }


def _control(seen: Seen) -> set[str]:
    return {name for name, error in seen["found"]["control"].items() if error is None}


def _stopped(seen: Seen, kind: str) -> set[str]:
    return {name for name in _control(seen) if seen["found"][kind][name] is not None}


def _able(seen: Seen) -> set[str]:
    """The honest programs that have what they need on this machine."""
    return {name for name, error in seen["honest"]["off"].items() if error is None}


def _served(seen: Seen, level: str) -> set[str]:
    return {name for name in _able(seen) if seen["honest"][level][name] is None}


def _passed(found: Mapping[str, Seen], rung: str) -> list[str]:
    """Which probes got through the default wall, and which honest programs did not work behind it."""
    notes = [f"the wall is {rung} here"]
    for user, seen in found.items():
        through = sorted(_control(seen) - _stopped(seen, "auto"))
        failed = sorted(_able(seen) - _served(seen, "auto"))
        without = sorted(set(seen["honest"]["off"]) - _able(seen))
        notes.append(f"{user}: through the wall: {', '.join(through) or 'none'}")
        notes += [f"{user}: honest and refused: {', '.join(failed)}"] if failed else []
        notes += [f"{user}: fails without a wall too: {', '.join(without)}"] if without else []
    return notes
