"""Loading agent programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aios.hosts.program import default_directories, find_program, load_program, passed_over, program_summary, programs
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
        load_program(path)


def program(path: Path, says: str = "Says something.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'"""{says}"""\n\n\nasync def main(agent, task):\n    return task\n')
    return path


def test_shipped_programs_come_before_those_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local, own = program(tmp_path / "agents" / "summarise.py"), program(tmp_path / "agents" / "mine.py")
    directories = default_directories()
    assert find_program("summarise", directories) != local
    assert find_program("./agents/summarise.py", directories) == local
    assert find_program("mine", directories) == own
    assert passed_over("summarise", directories) == local
    assert passed_over("mine", directories) is None
    assert passed_over("nothing", directories) is None
    assert find_program("summarise", (tmp_path / "agents", *directories)) == local  # as configured
    assert passed_over("summarise", (tmp_path / "agents", *directories)) is None


def test_in_the_checkout_itself_nothing_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    directories = default_directories()
    monkeypatch.chdir(directories[0].parent)
    assert passed_over("summarise", default_directories()) is None


def test_odd_files_among_the_programs_are_no_programs_or_say_what_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "broken.py").symlink_to("nowhere")
    (tmp_path / "folder.py").mkdir()
    program(tmp_path / "fine.py")
    (tmp_path / "nul.py").write_bytes(b"x = 1\0")
    (tmp_path / "deep.py").write_text("x = " + "(" * 5_000 + ")" * 5_000)
    (tmp_path / "syntax.py").write_text("x = (\n")
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(1 << 30)
    found = programs([tmp_path])
    assert set(found) == {"fine", "nul", "deep", "syntax", "huge"}
    told = {name: program_summary(path) for name, path in found.items()}
    assert told["fine"] == "Says something."
    assert all(told[name].startswith("(") for name in ("nul", "deep", "syntax", "huge"))
