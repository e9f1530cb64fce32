"""Runs that go on after a crash: programs cut off anywhere in their record, kernels killed under sixteen agents."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from aios.python import module_command
from tests.crash.counts import Counts, Fault, Kind, Report
from tests.resume import test_killed_kernels as killed
from tests.resume.conftest import Bench, cut, first_pid, places
from tests.resume.test_durable_runs import GENERATED, LEAF, REPLIES

CUTS = 8
"""Of each generated program."""
ANSWERS = 190
"""That the sixteen agents get in all, about."""
KERNELS, OF_MODEL = 40, 10
"""Kernels that are killed in the first round: under the sixteen agents, and under one agent of the local model."""
STEPS = 6
STORY = f"""
async def main(agent, task):
    told = []
    for step in range({STEPS}):
        told.append((await agent.chat(f"Tell me fact number {{step}} about the sea.", max_tokens=24)).text)
        await agent.append("facts.txt", told[-1] + "\\n")
    return "|".join(told)
"""


def run(budget_s: float, seed: int, report: Report, programs: int = 200) -> Counts:
    """Generated programs cut off here and there, `programs` at least; kernels that are killed."""
    counts, dice, until = Counts(), random.Random(seed), time.monotonic() + budget_s
    with _place() as place:
        for number in itertools.count():
            if number >= programs and time.monotonic() > until:
                break
            anyio.run(_cut_program, place / str(number), seed * 100_000 + number, counts, report)
            shutil.rmtree(place / str(number))
    with _place() as place:
        _kill_crowds(place, dice, counts, report)
    with _place() as place:
        _kill_model_runs(place, counts, report)
    return counts


async def _cut_program(place: Path, number: int, counts: Counts, report: Report) -> None:
    place.mkdir()
    bench = Bench(place)
    for name, source in (("generated", GENERATED.read_text()), ("leaf", LEAF), ("replies", REPLIES)):
        bench.program(name, source)
    journal = place / "journal.db"
    async with bench.host as host:
        whole = await bench.whole(journal, host, "generated", str(number))
        found = places(journal, "'accepted','done','failed','cancelled','refused','exited'")[1:]
        for seq in random.Random(number).sample(found, min(CUTS, len(found))):
            again = cut(journal, place / f"{seq}.db", seq)
            result = await bench.resumed(again, host, first_pid(journal))
            if result != whole:
                counts.take([Fault("wrong", result[:300])], f"program {number} cut off after event {seq}")
            counts.resumes += 1
            report(1)


def _kill_crowds(place: Path, dice: random.Random, counts: Counts, report: Report) -> None:
    whole = killed.told(place / "whole")
    wanted = json.loads(whole), killed.contents(place / "whole"), killed.versions(place / "whole")
    for number in range(KERNELS):
        mine, moment = place / str(number), dice.randrange(1, ANSWERS)
        killed.told(mine, moment)
        found = anyio.run(killed.resumed, mine), killed.contents(mine), killed.versions(mine)
        if found != wanted:
            kind: Kind = "doubled" if found[2] - wanted[2] else "wrong"
            counts.take([Fault(kind, "not what a run comes to that nobody kills")], f"kernel killed after {moment}")
        counts.kill_points += 1
        report(1)
        shutil.rmtree(mine)


def _kill_model_runs(place: Path, counts: Counts, report: Report) -> None:
    """Runs of the local model by the command line, killed after each of their steps, and resumed."""
    (place / "story.py").write_text(STORY)
    whole = _model_run(place / "whole", None)
    for number in range(OF_MODEL):
        if _model_run(place / str(number), 1 + number % (STEPS - 1)) != whole:
            counts.take([Fault("wrong", "not what a run comes to that nobody kills")], f"local model, run {number}")
        counts.kill_points += 1
        report(1)


def _model_run(place: Path, kill_after: int | None) -> tuple[bytes, bytes]:
    """What a run comes to and writes, killed after so many steps and resumed, or not."""
    files = place / "files"
    files.mkdir(parents=True)
    environment = {**os.environ, "XDG_STATE_HOME": str(place / "state"), "XDG_CONFIG_HOME": str(place / "config")}
    command = [*module_command("aios"), "run", str(place.parent / "story.py"), "--durable", "--embedded"]
    where = ["--root", str(files)]
    kernel = subprocess.Popen([*command, *where], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told = files / "facts.txt"
    while kill_after is not None and kernel.poll() is None:
        if told.exists() and told.read_bytes().count(b"\n") >= kill_after:
            kernel.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    printed, _ = kernel.communicate()
    if kill_after is not None and kernel.returncode == -signal.SIGKILL:
        again = [*module_command("aios"), "resume", "--embedded"]
        printed = subprocess.run(again, env=environment, capture_output=True, check=False).stdout
    return printed, told.read_bytes()


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aios-torture-") as directory:
        yield Path(directory)
