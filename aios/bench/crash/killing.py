"""Kills a program that changes files, again and again, and looks at what is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from aios.python import module_command
from aios_storage import FAILPOINT_VARIABLE, Files, Index, parse_query

POINTS = (
    *("staged", "truth-before-commit", "truth-after-commit", "between-files", "placed", "recovering", "scanned"),
    *("index-before-commit", "index-after-commit", "prune", "gc", "drop-blob", "blob-file"),
)
"""Where a program can be killed by name, but for what embeds."""
STUCK_S = 20.0
"""After which a program that never came to its point is killed all the same."""
LIVES_S = 0.6
"""How long a program that is killed at any moment works at most."""
States = dict[str, list[str | None]]


@dataclass(slots=True)
class CrashRoot:
    """What a root has to hold: for each path the SHA-256 that was acknowledged, None for no file."""

    path: Path
    held: dict[str, str | None] = field(default_factory=dict)
    kills: int = 0
    acknowledged: int = 0
    faults: list[str] = field(default_factory=list)

    def kill(self, seed: int, point: str | None = None) -> bool:
        """Let the program live until a random moment, or a point, and look; False if it never came to that point."""
        begun: States | None = None
        if point == "recovering":  # there has to be something to recover
            _, begun = self._live(seed, "placed")
        reached, later = self._live(seed, point)
        self._look(later or begun, f"seed {seed}, {point or 'any moment'}")
        return reached

    def _live(self, seed: int, point: str | None) -> tuple[bool, States | None]:
        """One life of the program: whether it died where it should, and what was begun and not acknowledged."""
        dice = random.Random(seed)
        environment = dict(os.environ)
        if point:
            environment[FAILPOINT_VARIABLE] = f"{point}:{1 if point == 'recovering' else dice.randrange(1, 4)}"
        command = module_command("aios.bench.crash.victim", str(self.path), str(seed))
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as victim:
            timer = threading.Timer(STUCK_S, victim.kill)
            timer.start()
            begun = self._listen(victim, None if point else dice.random() * LIVES_S)
            in_time = timer.is_alive()
            timer.cancel()
        self.kills += 1
        if victim.returncode != -signal.SIGKILL:
            self.faults.append(f"the program ended by itself with {victim.returncode}")
        return in_time or point is None, begun

    def same_answers(self) -> bool:
        """Whether the index answers as one that is made from nothing."""
        with Files(self.path) as files:
            kept = Index(files)
            kept.catch_up()
            queries = ["alpha", "beta gamma", "+delta -eta", '"zeta eta"']
            before = [_answers(kept, query) for query in queries]
            kept.rebuild()
            after = [_answers(kept, query) for query in queries]
            kept.close()
        if before != after:
            self.faults.append(f"the index answers otherwise than a new one: {before} {after}")
        return before == after

    def _listen(self, victim: subprocess.Popen[str], lives: float | None) -> States | None:
        """Hear what is acknowledged; what was begun and not acknowledged, if anything was.

        The program has `lives` seconds from when it is at work: one that is killed while Python starts shows nothing.
        """
        begun: States | None = None
        assert victim.stdout is not None
        for line in victim.stdout:
            try:
                what, states = json.loads(line)
            except ValueError:  # cut off by the kill
                break
            if what == "ready" and lives is not None:
                threading.Timer(lives, victim.kill).start()
            if what == "begin":
                begun = states
            elif what == "done":
                begun = None
                self.acknowledged += 1
                self.held |= {path: each[0] for path, each in states.items()}
        return begun

    def _look(self, begun: States | None, when: str) -> None:
        """Open the root again: all that was acknowledged is there, and what was begun is whole or not at all."""
        with Files(self.path) as files:
            files.scan()
            found = {path: self._digest(path) for path in {*self.held, *(begun or {})}}
            report = files.fsck()
            recorded = {head.path: head.sha256.hex() for head in files.heads()}
            for path, sha256 in found.items():
                if recorded.get(path) != sha256:
                    self.faults.append(f"{when}: {path} is {sha256} on the disk and {recorded.get(path)} in the truth")
            for path, sha256 in recorded.items():
                if hashlib.sha256(files.show(path)).hexdigest() != sha256:
                    self.faults.append(f"{when}: the kept bytes of {path} are others")
        self.faults += [f"{when}: {problem}" for problem in report.problems]
        after = dict(self.held)
        if begun:
            done = all(found[path] in states for path, states in begun.items())
            undone = all(found[path] in (self.held.get(path), *states) for path, states in begun.items())
            never = all(found[path] == self.held.get(path) for path in begun)
            if not (done or never or (undone and len(begun) == 1)):
                self.faults.append(f"{when}: a change of {sorted(begun)} was half made")
            after |= {path: found[path] for path in begun}
        for path, sha256 in after.items():
            if found[path] != sha256:
                self.faults.append(f"{when}: {path} is {found[path]}, but {sha256} was acknowledged")
        self.held = found

    def _digest(self, path: str) -> str | None:
        try:
            return hashlib.sha256((self.path / path).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None


def _answers(index: Index, query: str) -> list[tuple[str, float]]:
    found = index.keywords(parse_query(query), 50)
    entries = index.entries([id for id, _ in found])
    return sorted((entries[id].path, round(score, 4)) for id, score in found if id in entries)
