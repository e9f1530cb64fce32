"""An agent that looks for what is not its own: the kernel's state and keys, its siblings, the user's files and sockets.

It is told where everything lies. The control is the same hunt behind no wall, and by a program that is no agent.
"""

from __future__ import annotations

import json

import pytest

from aios.bench.wall.users import new_place, start, told, users
from tests.attacks import hunted

pytestmark = pytest.mark.whole

IN_MEMORY = {
    *("kernel-environment", "kernel-memory", "sibling-environment", "sibling-memory", "sibling-descriptor"),
    *("other-environment", "other-memory", "other-descriptor"),
}
"""What takes looking into another process, which no agent may, walled or not."""
OF_OURS = {name for name in IN_MEMORY if not name.startswith("other")}
"""What is closed to everybody but root."""
IN_FILES = {
    *(name for name in hunted.NAMES if name.endswith("-file")),
    *("record", "earlier-record", "sibling-log", "sibling-scratch", "kernel-arguments", "other-arguments"),
    "other-directory",
}
"""What a wall without Landlock leaves open."""


@pytest.mark.parametrize("user", users())
def test_an_agent_that_looks_for_secrets_finds_none(user: str) -> None:
    code = "import sys; from pathlib import Path; from tests.attacks import hunted; hunted.main(Path(sys.argv[1]))"
    with new_place(user) as place, start(code, user, str(place)) as process:
        said = json.loads(told(process))
    rung, found = said["rung"], {name: set(tokens) for name, tokens in said["found"].items()}
    print(f"as {user}, behind a wall that is {rung}: {sorted(found['hunter'])}")
    everything = set(hunted.NAMES)
    assert found["program"] >= (everything if user == "root" else everything - OF_OURS)
    assert found["unwalled"] >= everything - IN_MEMORY
    assert found["unwalled"] & OF_OURS == set()
    if rung != "none":
        assert found["hunter"] <= (set() if rung == "full" else IN_FILES)
