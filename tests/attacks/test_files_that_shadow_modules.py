"""Files in the working directory that have the names of modules: no command may run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aios.python import code_command, leave_working_directory, module_command, without_relative
from tests.cli import weights

MODULES = frozenset(
    {
        "random",
        "numpy",
        "types",
        "secrets",
        "sqlite3",
        "typing",
        "pickle",
        "queue",
        "json",
        "socket",
        "ctypes",
        "selectors",
        "threading",
        "contextlib",
        "dataclasses",
        "anyio",
        "pydantic",
        "pydantic_core",
        "psutil",
        "rich",
        "typer",
        "jinja2",
        "tokenizers",
        "onnxruntime",
        "chromadb",
        "watchfiles",
        "prompt_toolkit",
        "llama_cpp",
        "sitecustomize",
        "usercustomize",
        "aios",
        "aios_syscalls",
        "aios_storage",
        "encodings",
        "orjson",
        "uvloop",
    }
)
"""The standard library's, the dependencies', our own, and what Python or a library imports where it is there."""
CANARY = """
with open({marker!r}, "a") as marker:
    marker.write(__name__ + "\\n")
raise ImportError("a file of the working directory was run")
"""
AGENT = """
from aios.sdk import Agent
async def main(agent: Agent, task: str) -> str:
    word = await agent.ask("hello", max_tokens=2)
    return f"{type(word).__name__} {await agent.call('spell', word='ab')}"
"""
TOOLS = """
from aios.tools import tool
@tool(process=True)
def spell(word: str) -> str:
    \"\"\"Spell a word.\"\"\"
    return "-".join(word)
"""
COMMANDS = {
    "run": ["run", "AGENT", "--config", "CONFIG"],
    "search": ["search", "mayor", "TEXTS"],
    "shell": ["shell", "TEXTS"],
    "doctor": ["doctor"],
    "ps": ["ps"],
}


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A directory of modules and packages of which each says that it was run."""
    place = tmp_path / "planted"
    canary = CANARY.format(marker=str(place / "read"))
    for name in MODULES:
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text(canary)
        (place / f"{name}.py").write_text(canary)
    (place / "evil.pth").write_text(f"import os; open({str(place / 'read')!r}, 'a').write('pth')\n")
    (place / ".env").write_bytes(b"\xff\xfe")
    return place


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    weights.link(home)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_")}
    return {**kept, "AIOS_HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))}


def read(planted: Path) -> str:
    marker = planted / "read"
    return marker.read_text() if marker.exists() else ""


def run(command: list[str], place: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False, input="zebra\n", timeout=120
    )


@pytest.mark.whole
def test_no_command_runs_a_file_of_the_working_directory(
    tmp_path: Path, planted: Path, environment: dict[str, str]
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "mayor.txt").write_text("Peter Novak was elected mayor of Ashford.\n")
    configuration = f"tools = [{str(tmp_path / 'tools.py')!r}]\n"
    for name, text in (("agent.py", AGENT), ("tools.py", TOOLS), ("aios.toml", configuration)):
        (tmp_path / name).write_text(text)
    places = {"AGENT": tmp_path / "agent.py", "TEXTS": texts, "CONFIG": tmp_path / "aios.toml"}

    def outcome(command: list[str]) -> subprocess.CompletedProcess[str]:
        words = [str(places.get(word, word)) for word in command]
        return run(module_command("aios", *words), planted, environment)

    indexed = outcome(["index", "TEXTS"])
    with ThreadPoolExecutor(2) as pool:
        done = {"index": indexed, **dict(zip(COMMANDS, pool.map(outcome, COMMANDS.values()), strict=True))}
    said = {name: f"{ended.stdout}{ended.stderr}" for name, ended in done.items()}
    assert read(planted) == "", said
    assert "str a-b" in said["run"], said["run"]
    assert "Novak" in said["search"], said["search"]
    assert "llama-cpp-python" in said["doctor"], said["doctor"]
    assert {name: done[name].returncode for name in ("run", "search", "index")} == {
        "run": 0,
        "search": 0,
        "index": 0,
    }, said


@pytest.mark.whole
@pytest.mark.parametrize("path", ["", ".", "./", "sub/..", ":", "::.:"])
def test_a_relative_entry_of_pythonpath_is_left_out(planted: Path, environment: dict[str, str], path: str) -> None:
    (planted / "sub").mkdir()
    inherited = f"{path}{os.pathsep}{environment['PYTHONPATH']}"
    assert without_relative(inherited) == environment["PYTHONPATH"]
    # Set only later, as if read at the start: Python itself imports by it before any program can say no.
    code = f"""
import os, sys
from aios.python import leave_working_directory
os.environ["PYTHONPATH"] = {inherited!r}
sys.path[:0] = [os.path.abspath(entry) for entry in {path!r}.split(os.pathsep)]
leave_working_directory()
import queue
print(os.environ["PYTHONPATH"])
"""
    ended = run(code_command(code), planted, environment)
    assert (ended.stdout.strip(), read(planted)) == (environment["PYTHONPATH"], "")


def test_an_absolute_entry_of_pythonpath_stays_even_where_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    leave_working_directory()
    assert sys.path[0] == os.environ["PYTHONPATH"] == str(tmp_path)


@pytest.mark.whole
def test_python_m_aios_reads_no_module_of_the_working_directory_from_its_first_line_on(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for name in ("typer", "rich", "secrets", "sqlite3", "json", "random"):
        (tmp_path / f"{name}.py").write_text(CANARY.format(marker=str(tmp_path / "read")))
    ended = run([sys.executable, "-m", "aios", "ps"], tmp_path, environment)
    assert read(tmp_path) == "", ended.stderr


@pytest.mark.whole
def test_without_the_flag_they_are_run(planted: Path, environment: dict[str, str]) -> None:
    for flag, marked in (("-P", False), ("-B", True)):
        ended = run([sys.executable, flag, "-m", "queue"], planted, environment)
        assert bool(read(planted)) is marked, ended.stderr
