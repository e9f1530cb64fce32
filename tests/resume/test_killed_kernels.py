"""A kernel that is killed with -9 under sixteen agents, at many moments: what they come to, what their files hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from aios.record import runs
from aios_storage import Library
from tests.resume.crowd import prepare, results

pytestmark = [pytest.mark.whole]

ROOT = Path(__file__).parents[2]
MOMENTS = (1, 20, 55, 90, 120, 150, 170, 185)
"""After how many answers of the model the kernel is killed, of some 200."""


def told(place: Path, kill_after: int | None = None) -> str:
    """The last line of a kernel that runs to its end, or is killed when it has given so many answers."""
    place.mkdir()
    command = [sys.executable, "-m", "tests.resume.crowd", str(place)]
    kernel = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert kernel.stdout is not None
    last = ""
    with kernel.stdout:
        for line in kernel.stdout:
            last = line
            if kill_after is not None and line.strip() == str(kill_after):
                os.kill(kernel.pid, signal.SIGKILL)
                break
    kernel.wait()
    return last


def contents(place: Path) -> dict[str, bytes]:
    """Of all files but those that were being written when the kernel died: `aios files gc` removes these."""
    files = [path for path in sorted((place / "files").iterdir()) if path.is_file()]
    return {path.name: path.read_bytes() for path in files if not path.name.startswith(".aios-tmp-")}


def versions(place: Path) -> Counter[tuple[str, str]]:
    """How often each file was changed in which way."""
    with closing(Library(place / "files")) as library:
        return Counter((each.path, each.op) for each in library.files.changes_since(0, 10_000))


async def resumed(place: Path) -> list[str]:
    bench = prepare(place)
    (record,) = runs(place / "journal.db")
    async with bench.host as host, bench.opened(place / "journal.db", host, record) as run:
        mine = [process.pid for process in run.processes if process.program == "boss"]
        return await results(run, mine)


def test_whenever_it_is_killed_results_and_files_are_those_of_a_run_that_was_not(tmp_path: Path) -> None:
    whole = json.loads(told(tmp_path / "whole"))
    assert len(whole) == 16
    for moment in MOMENTS:
        place = tmp_path / str(moment)
        told(place, moment)
        assert anyio.run(resumed, place) == whole, moment
        assert contents(place) == contents(tmp_path / "whole"), moment
        assert versions(place) == versions(tmp_path / "whole"), moment
