"""Several kernels on one home, as in several terminals: no pid twice, no event lost, a killed one leaves the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

COUNTS = """
async def main(agent, task):
    for number in range(40):
        await agent.write(f"{task}.txt", str(number))
    return task
"""
STAYS = """
async def main(agent, task):
    await agent.write("here.txt", "yes")
    await agent.receive()
"""


class Home:
    """A home of its own, with programs that need no model."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {**os.environ, "AIOS_HOME": str(place / "home")}
        for name, source in (("counts", COUNTS), ("stays", STAYS)):
            (place / f"{name}.py").write_text(source)

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "aios", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environment, cwd=self.place, text=True, **pipes)  # type: ignore[call-overload, no-any-return]

    def run(self, *programs: str) -> subprocess.Popen[str]:
        return self.start("run", "--model", "http://127.0.0.1:9/v1#none", "--wall", "auto", "--json", *programs)

    def told(self, *words: str) -> str:
        out, err = self.start(*words).communicate()
        assert out, err
        return out


def test_runs_side_by_side_share_a_record_and_mix_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    kernels = [home.run(f"counts.py={name}-1", f"counts.py={name}-2") for name in "ab"]
    said = [json.loads(kernel.communicate()[0]) for kernel in kernels]
    assert [[each["result"] for each in run["processes"]] for run in said] == [[f"{x}-1", f"{x}-2"] for x in "ab"]
    pids = [each["pid"] for run in said for each in run["processes"]]
    assert len(set(pids)) == 4
    assert all(run["syscalls"]["ended_once"] for run in said)
    listed = json.loads(home.told("runs", "--json"))
    assert {each["run"] for each in listed} == {run["run"] for run in said}
    last = said[-1]
    assert json.loads(home.told("ps", str(last["processes"][0]["pid"]), "--json"))["run"] == last["run"]


def test_a_kernel_that_is_killed_leaves_its_neighbours_whole(tmp_path: Path) -> None:
    home = Home(tmp_path)
    doomed = home.run("stays.py")
    while not (tmp_path / "here.txt").exists():
        assert doomed.poll() is None
    doomed.send_signal(signal.SIGKILL)
    doomed.communicate()
    said = json.loads(home.run("counts.py=a").communicate()[0])
    assert said["processes"][0]["result"] == "a"
    states = {each["run"]: each["state"] for each in json.loads(home.told("runs", "--json"))}
    assert states.pop(said["run"]) == "done"
    assert list(states.values()) == ["broken off"]
