"""Every command, whatever its standard output is, and whatever width a terminal is said to have."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aios.cli.app import app
from aios.terminal.streams import SaysLog

CHAT = {"call": "llm.chat", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
COMMANDS = [
    ["--version"],
    ["--help"],
    ["search", "--help"],
    ["config"],
    ["config", "--json"],
    ["agents"],
    ["agents", "--json"],
    ["models"],
    ["runs"],
    ["runs", "--json"],
    ["ps", "last"],
    ["ps", "last", "--json"],
    ["ps", "--all"],
    ["ps", "--all", "--tree"],
    ["trace"],
    ["trace", "--json"],
    ["trace", "--gantt"],
    ["trace", "--call", "2.2"],
    ["trace", "--chrome", "-"],
    ["usage"],
    ["usage", "--by", "model", "--json"],
    ["route", "explain", "2.2"],
    ["search", "lighthouse", "notes"],
    ["search", "-l", "lighthouse", "notes"],
    ["search", "--json", "-C", "2", "lighthouse", "notes"],
    ["history", "notes/a.md"],
    ["show", "notes/a.md"],
    ["diff", "notes/a.md"],
    ["files", "status", "notes"],
    ["files", "fsck", "notes"],
    ["fs", "--root", "notes", "open a.md"],
    ["fs", "list files"],
    ["estimate", "graph.json", "--cost", "0.2,0.001,0.02"],
    ["bench"],
    ["trust", "project"],
    ["trust", "--yes", "--json", "project"],
    ["trust", "--list"],
]
FEW = [["--version"], ["config"], ["runs"], ["trace", "--gantt"], ["search", "-l", "lighthouse", "notes"]]
FEW += [["runs", "--json"], ["fs", "list files"]]


@pytest.fixture
def place(busy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on record, an indexed directory with text of many scripts, a graph, and a project."""
    busy.write()
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("A lighthouse: 日本語 ü 👩‍🔬 " + "long " * 80 + "\n")
    assert CliRunner().invoke(app, ["index", "notes"]).exit_code == 0
    (notes / "a.md").write_text("A lighthouse, again: 日本語 ü " + "long " * 80 + "\n")
    (tmp_path / "graph.json").write_text(json.dumps({"nodes": [{"id": "ü", "run": CHAT}]}))
    (tmp_path / "project").mkdir(mode=0o755)
    (tmp_path / "project" / "aios.toml").write_text("seed = 1\n")
    (tmp_path / "project" / "aios.toml").chmod(0o644)
    return tmp_path


def environment() -> dict[str, str]:
    """That of this test, with what is imported here."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def drive(cases: list[tuple[list[str], dict[str, str], str]]) -> list[dict[str, Any]]:
    driver = Path(__file__).with_name("streams_driver.py")
    asked = json.dumps(cases)
    ran = subprocess.run(
        [sys.executable, str(driver)], input=asked, capture_output=True, text=True, check=True, env=environment()
    )
    return list(json.loads(ran.stdout))


def fault(case: tuple[list[str], dict[str, str], str], was: dict[str, Any], usual: dict[str, Any]) -> str:
    """What is wrong with how a command ended; `usual` is what it does in a pipe."""
    words, _, stdout = case
    lines = was["talk"].splitlines()
    if "Traceback" in was["talk"] or "Exception ignored" in was["talk"]:
        return "a traceback"
    if stdout == "pipe":
        same = "--help" in words or moments(was["out"]) == moments(usual["out"])
        return "" if same and was["code"] == usual["code"] else "another text by the width"
    if stdout == "ascii":
        return "" if was["code"] == usual["code"] and was["out"] else "nothing in ASCII"
    if was["code"] != 1 and not (usual["code"] and stdout != "closed"):
        return f"exit code {was['code']}"
    if stdout == "gone":
        return "" if set(lines) <= set(usual["talk"].splitlines()) else "not quiet"
    if "standard output" not in lines[-1]:
        return "nothing said"
    return "" if stdout == "full" or len(lines) == 1 else "more than a line"


def moments(text: str) -> str:
    """Text without what is measured, which differs from one time to the next."""
    return re.sub(r'"(began|time|pid|kept_bytes|elapsed_s)": [^\n]*|\d\d:\d\d:\d\d|[\d.]+ M?B|  +', "", text)


@pytest.mark.whole
def test_every_command_ends_well_whatever_its_output_is(place: Path) -> None:
    # `fs` leaves a run on record, which the others are not to find.
    apart = {json.dumps(words): {"AIOS_HOME": str(place / "apart")} if words[0] == "fs" else {} for words in COMMANDS}
    usual = drive([(words, apart[json.dumps(words)], "pipe") for words in COMMANDS])
    assert [(words, was) for words, was in zip(COMMANDS, usual, strict=True) if not was["out"]] == []
    cases = [(words, {"COLUMNS": "20"}, "pipe") for words in COMMANDS if "--json" not in words]
    cases += [(words, {"COLUMNS": "0"}, "pipe") for words in COMMANDS if words in FEW]
    cases += [(words, {}, stdout) for words in COMMANDS for stdout in ("full", "ascii")]
    cases += [(words, {}, stdout) for words in COMMANDS if words in FEW for stdout in ("closed", "gone")]
    expected = {json.dumps(words): was for words, was in zip(COMMANDS, usual, strict=True)}
    # `trust` finds another record the second time.
    expected[json.dumps(["trust", "project"])], expected[json.dumps(["trust", "--list"])] = drive(
        [(["trust", "project"], {}, "pipe"), (["trust", "--list"], {}, "pipe")]
    )
    cases = [(words, {**apart[json.dumps(words)], **given}, stdout) for words, given, stdout in cases]
    faults = [
        (case, wrong, was["talk"][-500:])
        for case, was in zip(cases, drive(cases), strict=True)
        if (wrong := fault(case, was, expected[json.dumps(case[0])]))
    ]
    assert not faults, "\n".join(map(str, faults))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("redirection", "says"),
    [(">&-", "standard output is closed"), ("> /dev/full", "standard output cannot be written"), ("| head -c 1", "")],
)
def test_the_real_command_says_in_one_line_that_its_output_is_lost(
    home: Path, redirection: str, says: str, tmp_path: Path
) -> None:
    line = f'"{sys.executable}" -m aios config {redirection}; exit ${{PIPESTATUS[0]}}'
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment(), check=False)
    assert len(ran.stderr.splitlines()) == bool(says)
    assert says in ran.stderr
    assert ran.returncode == 1 or not says


@pytest.mark.whole
def test_with_standard_error_closed_talk_is_not_taken_for_data(home: Path) -> None:
    line = f'"{sys.executable}" -m aios config --config none.toml 2>&- <&-'
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment(), check=False)
    assert (ran.stdout, ran.returncode) == ("", 3)


RESULTS = [
    "plain",
    "a line\n",
    "two\nlines\n\n",
    "  blanks around  ",
    "",
    json.dumps({"url": "https://example.org/" + "path/" * 60, "text": "word " * 200}),
    "日本語 ü 👩‍🔬 \u200b \U000e0041",
    "\x1b[2J\r\n\x00\x7f\x9b",
    "[bold]markup[/] :smile: http://x",
    "x" * 100_000,
]


@pytest.mark.whole
@pytest.mark.parametrize(("stdout", "columns"), [("pipe", None), ("pipe", "20"), ("ascii", "0")])
def test_what_an_agent_returns_is_written_to_the_byte(
    home: Path, stdout: str, columns: str | None, tmp_path: Path
) -> None:
    code = (
        "import sys, json\n"
        "from aios.cli.commands import work\nfrom aios.cli.run.jobs import ProgramJob\nfrom aios.config import Config\n"
        "from aios.models.scripted import ScriptedModel\n"
        "from aios.terminal.streams import open_streams\n"
        "open_streams()\n"
        "for place, result in json.load(sys.stdin):\n"
        "    async def main(agent, task, result=result):\n        return result\n"
        "    before = sys.stdout\n"
        "    sys.stdout = open(place, 'w', encoding='ascii' if sys.argv[1] == 'ascii' else 'utf-8')\n"
        "    jobs, models = [ProgramJob('main', '')], [ScriptedModel('x')]\n"
        "    work._execute(jobs, Config(), False, models=models, mains={'main': main})\n"
        "    sys.stdout.close()\n    sys.stdout = before\n"
    )
    places = [str(tmp_path / f"out{number}") for number in range(len(RESULTS))]
    variables = environment() | ({"COLUMNS": columns} if columns is not None else {})
    ran = subprocess.run(
        [sys.executable, "-c", code, stdout],
        input=json.dumps(list(zip(places, RESULTS, strict=True))),
        capture_output=True,
        text=True,
        env=variables,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert [Path(place).read_bytes() for place in places] == [result.encode() for result in RESULTS]
    assert "1 process: 1 done" in ran.stderr


def test_several_results_stand_under_headings(capsys: pytest.CaptureFixture[str]) -> None:
    from aios.cli.commands import work
    from aios.cli.run.jobs import ProgramJob
    from aios.config import Config
    from aios.models.scripted import ScriptedModel

    async def echo(agent: Any, task: str) -> str:
        return task

    jobs = [ProgramJob("echo", "one"), ProgramJob("echo", "two\x1b[2J\n")]
    work._execute(jobs, Config(), False, models=[ScriptedModel("x")], mains={"echo": echo})
    assert capsys.readouterr().out == "==> 1 echo  one <==\none\n\n==> 2 echo  two\ufffd[2J <==\ntwo\x1b[2J\n"


@pytest.mark.whole
def test_on_a_terminal_nothing_of_an_agent_or_a_file_steers_it(place: Path, home: Path) -> None:
    (place / "notes" / "evil.md").write_text("lighthouse \x1b]0;owned\x07 \x9b2J \u200b\n")
    for words in (["fs", "--root", "notes", "open evil.md"], ["search", "owned", "notes"]):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "aios", *words],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environment(),
        ) as process:
            os.close(theirs)
            said = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:
                    break
                if not piece:
                    break
                said += piece
        os.close(ours)
        assert process.returncode == 0
        assert b"lighthouse" in said
        assert b"\x1b]" not in said
        assert b"\x07" not in said
        assert not set(said.decode()) & set("\x9b\u200b")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["search", "-zebra"], "search -- -zebra"),
        (["search", "--zebra"], "search -- --zebra"),
        (["search", "-lzebra"], "search -- -lzebra"),
        (["search", "-k", "3", "-zebra"], "search -- -zebra"),
        (["fs", "-x"], "fs -- -x"),
        (["run", "-p"], "run -- -p"),
    ],
)
def test_a_text_that_begins_like_an_option_gets_a_hint(words: list[str], hint: str) -> None:
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert hint in " ".join(ended.stderr.split())


def test_a_command_without_text_gets_no_hint() -> None:
    assert "--" not in CliRunner().invoke(app, ["config", "-z"]).stderr.partition("Error")[2]


def test_a_usage_error_is_harmless(tmp_path: Path) -> None:
    for words in (["search", "-\x1b[2J"], ["run", "x", "-n", "\x1b[2J"], ["run", "\x1b[2J"], ["diff", "\x1b[2J"]):
        assert "\x1b" not in CliRunner().invoke(app, words).output


@pytest.fixture
def told_logs() -> Iterator[None]:
    handler = SaysLog(logging.WARNING)
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


@pytest.mark.whole
@pytest.mark.usefixtures("told_logs")
def test_what_a_library_says_of_a_file_is_told_with_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.pdf").write_bytes(b"no header\n%PDF-1.4\nbroken \x1b[2J\n%%EOF\n" * 20)
    (tmp_path / "notes" / "b.md").write_text("Fine.\n")
    said = CliRunner().invoke(app, ["index", "notes"]).stderr.splitlines()
    assert len([line for line in said if line.startswith("aios: a.pdf: pypdf")]) == 1
    assert all(line.startswith(("aios: ", "notes: ")) for line in said)


@pytest.mark.usefixtures("told_logs")
def test_what_a_library_says_of_itself_is_harmless_and_names_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("some.library").warning("a \x1b[2J %s", "b\nc")
    unfit = logging.LogRecord("some.library", logging.WARNING, "x.py", 1, "no %d number", ("x",), None)
    SaysLog(logging.WARNING).emit(unfit)
    logging.getLogger("some.library").info("nobody needs this")
    assert capsys.readouterr().err == "aios: some.library: a \ufffd[2J b\n  c\n"
