"""The crash harness for long: every part in turn, with what it has tried in one line."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.crash import parts, resumes
from tests.crash.counts import Counts

FIGURES = (
    *("kill_points", "power_cut_states", "corruptions", "io_errors", "resumes"),
    *("lost", "doubled", "dangling", "wrong", "planted_found", "planted"),
)
RESUMES = 4.0
"""The share of the time that runs have that are cut off and resumed; `parts.SHARES` has those of the others."""
QUIET_S = 30.0
"""Off a terminal, a line of progress in so many seconds."""


class Progress:
    """How far it is: on a terminal one line that is written over, elsewhere a line now and then; on stderr."""

    def __init__(self, whole_s: float) -> None:
        self._began, self._whole_s = time.monotonic(), whole_s
        self._told = self._began
        self.part, self.tried = "", 0

    def __call__(self, number: int) -> None:
        self.tried += number
        now = time.monotonic()
        on_terminal = sys.stderr.isatty()
        if now - self._told < (0.2 if on_terminal else QUIET_S):
            return
        self._told = now
        share = min(1.0, (now - self._began) / self._whole_s)
        line = f"{share:4.0%} {self.part}: {self.tried} tried, {now - self._began:.0f} s"
        bar = "#" * round(30 * share)
        print(f"\r[{bar:<30}] {line}\033[K" if on_terminal else line, end="" if on_terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line."""
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)


def tortured(minutes: float, seed: int) -> Counts:
    """All parts, each with its share of the time; a part goes through its first round whatever that takes."""
    counts, progress = Counts(), Progress(minutes * 60)
    whole = sum(parts.SHARES.values()) + RESUMES
    for part, share in parts.SHARES.items():
        progress.part = part
        counts += parts.run(part, minutes * 60 * share / whole, seed, progress)
    progress.part = "resumes"
    counts += resumes.run(minutes * 60 * RESUMES / whole, seed, progress)
    progress.end()
    return counts


def main() -> int:
    """0 where all held and every planted bug was found."""
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="about how long (5)")
    parser.add_argument("--seed", type=int, default=1, help="another one tries other mixes and places (1)")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object")
    options = parser.parse_args()
    counts = tortured(options.minutes, options.seed)
    figures = counts.to_json()
    if options.json:
        print(json.dumps(figures))
    else:
        for name in FIGURES:
            print(f"{name:>18} {figures[name]:>8}")
    for each in (*counts.notes, *counts.faults, *(f"not found: {name}" for name in counts.survivors)):
        print(each, file=sys.stderr)
    return 0 if counts.whole else 1


if __name__ == "__main__":
    sys.exit(main())
