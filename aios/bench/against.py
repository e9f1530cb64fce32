"""An old checkout beside this one: the same bench of both, in turns, so that whatever else runs troubles both alike."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from aios.bench import FigureTarget
from aios_syscalls import BadRequest

ROUNDS = 11
HERE = Path(__file__).resolve().parents[2]
PARTS = ".", "syscalls", "storage"
"""What of a checkout is on the way of imports."""
CODE = "import sys; from aios.bench.{0} import main; print(main(sys.argv[1] == 'quick').to_json())"
Better = Literal["<=", ">="]


def against(
    name: str, old: Path, quick: bool, better: Mapping[str, Better]
) -> tuple[dict[str, float], list[FigureTarget]]:
    """The medians and quartiles of the old checkout's figures and of this one's, for those in `better`.

    Each target is the new median beside the old's farther quartile. Raises BadRequest where there is no other checkout.
    """
    if not (old / "aios" / "bench" / f"{name}.py").is_file():
        raise BadRequest(
            f"{old} is no checkout with a benchmark {name!r}; make one: git worktree add DIR TAG", "against"
        )
    if old.resolve() == HERE:
        raise BadRequest(f"{old} is the checkout that this runs from; name another one", "against")
    found: dict[Path, list[Mapping[str, float]]] = {old.resolve(): [], HERE: []}
    for number in range(ROUNDS):
        for tree in list(found)[:: 1 if number % 2 else -1]:
            found[tree].append(measure(name, tree, quick))
    before, after = found[old.resolve()], found[HERE]
    figures: dict[str, float] = {}
    targets = []
    for figure, relation in better.items():
        was, now = _quartiles(before, figure), _quartiles(after, figure)
        figures |= {f"old_{figure}_q{at}": value for at, value in enumerate(was, 1)}
        figures |= {f"new_{figure}_q{at}": value for at, value in enumerate(now, 1)}
        figures[f"ratio_{figure}"] = _ratio(after, before, figure)
        targets.append(_target(f"new_{figure}_q2", now[1], relation, was))
    return figures, targets


def measure(name: str, tree: Path, quick: bool) -> Mapping[str, float]:
    """The figures of a checkout's bench, by its own code, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / part) for part in PARTS)}
    command = [sys.executable, "-P", "-c", CODE.format(name), "quick" if quick else "all"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BadRequest(f"benchmark {name!r} of {tree} ended with {ran.returncode}: {last}", "against")
    figures: Mapping[str, float] = json.loads(ran.stdout)["figures"]
    return figures


def _target(name: str, median: float, relation: Better, old: Sequence[float]) -> FigureTarget:
    """Within the old quartiles, or better."""
    limit = old[2] if relation == "<=" else old[0]
    return FigureTarget(name, median, f"{relation} {limit:g}", median <= limit if relation == "<=" else median >= limit)


def _quartiles(rounds: Sequence[Mapping[str, float]], figure: str) -> list[float]:
    return statistics.quantiles([each[figure] for each in rounds], n=4, method="inclusive")


def _ratio(new: Sequence[Mapping[str, float]], old: Sequence[Mapping[str, float]], figure: str) -> float:
    """The median of the rounds' ratios: both of a round had the same machine's mood."""
    return statistics.median(one[figure] / other[figure] for one, other in zip(new, old, strict=True))
