"""`aios trust`: what it says, whom it asks, what it keeps."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app

TOOL = 'from aios.tools.tool import tool\n\n\n@tool\ndef one() -> int:\n    """One."""\n    return 1\n'
WHOLE = """
tools = ["mine.py"]
agents = ["more"]
root = "/srv"
isolate = false
seed = 3
[models.cloud]
kind = "openai"
base_url = "http://example.org/v1"
model = "m"
api_key_env = "MY_KEY"
[models.bare]
kind = "anthropic"
base_url = "http://example.com/v1"
model = "m"
[models.disk]
path = "weights.gguf"
[files]
embedder = "openai:http://example.net/v1#m"
homes = "homes"
allow_executed = ["Makefile", "AGENTS.md"]
[scheduler]
slice = 3
[budget]
tokens = 5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "project"
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    for name, text in {"aios.toml": WHOLE, "mine.py": TOOL}.items():
        (place / name).write_text(text)
        (place / name).chmod(0o644)
    monkeypatch.chdir(place)
    return place


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_it_says_in_plain_words_what_the_file_would_allow(project: Path) -> None:
    told = aios("trust", "--yes", "--json")
    assert told.exit_code == 0
    said = json.loads(told.stdout)
    sha256 = hashlib.sha256(TOOL.encode()).hexdigest()
    assert (said["path"], said["tools"]) == (str(project / "aios.toml"), {"mine.py": sha256})
    assert said["sha256"] == hashlib.sha256(WHOLE.encode()).hexdigest()
    for part in (
        f"the kernel runs the Python in mine.py (SHA-256 {sha256[:12]}...)",
        "what agents ask cloud is sent to http://example.org/v1 by OpenAI's protocol, with the key in $MY_KEY",
        "what agents ask bare is sent to http://example.com/v1 by Anthropic's protocol, without a key",
        "the model disk is loaded from weights.gguf",
        "the text of your files is sent to http://example.net/v1#m to be embedded, with the key in $OPENAI_API_KEY",
        "agents read and write files in /srv, by default",
        "agents may write files that your other programs execute by their names: Makefile and AGENTS.md",
        "finds programs in more, before those that come with aios",
        "agents run in the kernel's own process",
        "its bounds count even where they are larger than yours: budget",
        "it sets scheduler, seed and files.homes",
    ):
        assert any(part in line for line in said["allows"]), part


def test_off_a_terminal_it_needs_a_flag_and_changes_nothing(project: Path) -> None:
    told = aios("trust")
    assert told.exit_code == 6
    assert "aios trust --yes" in told.stderr
    assert "$MY_KEY" in told.stdout
    assert aios("trust", "--list").exit_code == 1
    assert "seed = 3" not in aios("config").stdout


@pytest.mark.whole
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 6), ("", 6)])
def test_a_person_is_asked(project: Path, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "aios", "trust"], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(ours, 4096)
        os.write(ours, f"{answer}\n".encode())
        assert process.wait() == code
    os.close(ours)
    assert aios("trust", "--list").stdout == (f"{project}/aios.toml\n" if code == 0 else "")


def test_what_is_trusted_already_is_not_asked_about_again(project: Path) -> None:
    assert aios("trust", "--yes").exit_code == 0
    again = aios("trust")
    assert again.exit_code == 0
    assert "is trusted already" in again.stderr
    (project / "mine.py").write_text(TOOL + "\n")
    assert aios("trust").exit_code == 6
    assert aios("trust", "--forget").exit_code == 0
    assert aios("trust", "--forget").exit_code == 3
    assert aios("trust", "--list").exit_code == 1


@pytest.mark.parametrize("given", [".", "aios.toml", "../project", "../project/aios.toml", "../link", None])
def test_the_directory_and_its_file_mean_the_same_however_they_are_called(project: Path, given: str | None) -> None:
    (project.parent / "link").symlink_to("project")
    assert aios("trust", "--yes", *([given] if given else [])).exit_code == 0
    assert aios("trust", "--list").stdout == f"{project}/aios.toml\n"
    assert "seed = 3" in aios("config").stdout


def test_what_cannot_be_trusted_is_refused_with_a_reason(project: Path) -> None:
    def code_and_words(*words: str) -> tuple[int, str]:
        told = aios("trust", "--yes", *words)
        return told.exit_code, told.stderr

    (project / "other.toml").write_text("seed = 1\n")
    code, said = code_and_words("other.toml")
    assert (code, "--config" in said) == (2, True)
    code, said = code_and_words("nowhere")
    assert (code, "there is no file" in said) == (3, True)
    (project / "mine.py").unlink()
    assert code_and_words()[0] == 3
    (project / "mine.py").write_text(TOOL)
    (project / "mine.py").chmod(0o666)
    code, said = code_and_words()
    assert (code, "can be written by others" in said) == (6, True)
    (project / "aios.toml").write_text("sed = 1\n")
    code, said = code_and_words()
    assert (code, "did you mean seed" in said) == (2, True)
    (project / "aios.toml").unlink()
    os.mkfifo(project / "aios.toml")
    code, said = code_and_words()
    assert (code, "is a FIFO" in said) == (2, True)


def test_words_of_the_file_do_not_steer_the_terminal(project: Path) -> None:
    (project / "aios.toml").write_text(
        'root = "\\u001b[2Jx"\n[models."a\\u202eb"]\nkind = "openai"\nbase_url = "http://h/v1"\nmodel = "m"\n'
        'api_key_env = "K\\nall is well"\n'
    )
    told = aios("trust", "--yes")
    assert told.exit_code == 0
    assert not set(told.stdout) & set("\x1b\u202e")
    assert not any(line.startswith("all is well") for line in told.stdout.splitlines())
