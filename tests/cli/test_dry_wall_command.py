"""`aios run --dry-wall`: the list that it prints, its exit code, and whose programs it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner, Result

from aios.boot import ActKind
from aios.cli.app import app
from aios.cli.run.dry_wall import MOST_LINES, WORDS

PROGRAM = """
import socket
async def main(agent, task):
    for _ in range(3):
        open("{file}").read()
    for number in range({many}):
        open("{place}/new-" + str(number), "w").close()
    socket.socket().close()
    open("mine", "w").close()
    {end}
"""


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, ["run", *words, "--model", "http://127.0.0.1:9/v1#none"])


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """A directory of the user's that is no program's."""
    place = tmp_path / "users"
    place.mkdir()
    (place / "file").write_text("x")
    return place


def program(tmp_path: Path, users: Path, end: str = "return 'done'", many: int = 0, name: str = "own.py") -> str:
    (tmp_path / "programs").mkdir(exist_ok=True)
    path = tmp_path / "programs" / name
    path.write_text(PROGRAM.format(file=users / "file", place=users, end=end, many=many))
    return str(path)


def told(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.mark.whole
def test_what_would_have_been_refused_is_listed_after_the_run(tmp_path: Path, users: Path) -> None:
    result = aios(program(tmp_path, users, many=1), "--dry-wall")
    assert (result.exit_code, result.stdout) == (0, "done")
    lines = result.stderr.splitlines()
    begin = lines.index("aios: --dry-wall: the wall would have refused process 1 own:")
    assert [line for line in lines[begin:] if " x " in line] == [
        f"aios:     3 x {users / 'file'}",
        f"aios:     1 x {users / 'new-0'}",
        "aios:     1 x a socket of AF_INET",
    ]
    assert "agent.read" in result.stderr
    assert "C code" in lines[-1]
    assert (users / "new-0").exists()  # there was no wall


@pytest.mark.whole
def test_the_list_is_in_the_json_object_and_the_record_says_that_there_was_no_wall(tmp_path: Path, users: Path) -> None:
    found = told(aios(program(tmp_path, users), "--dry-wall", "--json"))
    assert found["wall"]["level"] == "off"
    assert found["dry_wall"] == [
        {
            "pid": 1,
            "program": found["processes"][0]["program"],
            "refused": [
                {"kind": "read", "object": str(users / "file"), "count": 3},
                {"kind": "network", "object": "a socket of AF_INET", "count": 1},
            ],
        }
    ]


@pytest.mark.whole
def test_without_the_flag_there_is_a_wall_and_no_list(tmp_path: Path, users: Path) -> None:
    result = aios(program(tmp_path, users), "--json", "--wall", "auto")
    assert "dry_wall" not in told(result)
    if told(result)["wall"]["rung"] == "full":
        assert result.exit_code == 1


@pytest.mark.whole
def test_the_exit_code_is_the_runs(tmp_path: Path, users: Path) -> None:
    result = aios(program(tmp_path, users, "raise ValueError('no luck')"), "--dry-wall")
    assert result.exit_code == 1
    assert "3 x " in result.stderr
    assert "the wall around agents" not in result.stderr  # nothing was refused


@pytest.mark.whole
def test_of_many_acts_the_first_are_printed_and_all_are_in_json(tmp_path: Path, users: Path) -> None:
    name = program(tmp_path, users, many=MOST_LINES + 7)
    result = aios(name, "--dry-wall")
    assert result.stderr.count("new-") == MOST_LINES
    assert "and 7 more" in result.stderr
    for file in users.glob("new-*"):
        file.unlink()
    assert len(told(aios(name, "--dry-wall", "--json"))["dry_wall"][0]["refused"]) == MOST_LINES + 9


@pytest.mark.whole
def test_a_strangers_program_is_not_run_without_its_wall(
    tmp_path: Path, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, here = program(tmp_path, users, many=1), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    result = aios(name, "--dry-wall")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "lies outside your own directories" in result.stderr
    assert "--wall off" in result.stderr
    assert not (users / "new-0").exists()
    result = aios(name, "--dry-wall", "--wall", "off")
    assert result.exit_code == 0
    assert f"3 x {users / 'file'}" in result.stderr


@pytest.mark.whole
def test_a_program_beside_an_untrusted_configuration_is_not_run_without_its_wall(tmp_path: Path, users: Path) -> None:
    name = program(tmp_path, users)
    (tmp_path / "aios.toml").write_text('tools = ["theirs.py"]\n')
    result = aios(name, "--dry-wall")
    assert result.exit_code == 6
    assert "not trusted" in result.stderr
    (tmp_path / "aios.toml").write_text("[budget]\ntokens = 5\n")  # needs no trust
    assert aios(name, "--dry-wall").exit_code == 0


def test_every_kind_of_act_has_its_words() -> None:
    assert set(WORDS) == set(get_args(ActKind))


def test_agents_without_processes_cannot_be_watched(tmp_path: Path, users: Path) -> None:
    result = aios(program(tmp_path, users), "--dry-wall", "--no-isolate")
    assert result.exit_code == 2
    assert "--no-isolate" in result.stderr
