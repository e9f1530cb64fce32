"""Loading agent programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from aios.hosts.program import load
from aios_syscalls import BadRequest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import os\nx = (\n", r"broken does not parse: .*broken\.py, line 2: .*never closed; mend it there"),
        ("def main(agent, task): ...\n", r"no `async def main\(.*; add one"),
    ],
)
def test_a_program_that_cannot_be_run_says_where_and_why(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(BadRequest, match=says):
        load(path)
