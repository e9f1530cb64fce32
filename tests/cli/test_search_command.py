"""index, search and files, as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app
from aios_storage import Author, Files
from tests.cli import weights
from tests.shell.terminal import Terminal

NOTES = {
    "docs/kettle.md": "# The kettle\n\nIt boils a litre of water in three minutes.\nThe lid never closed well.\n",
    "docs/mayor.txt": "Maria Keller was elected mayor of Ashford.\n",
    "code/boil.py": "def boil(water):\n    return water * 100\n",
    "ignored/secret.txt": "the kettle of the neighbour\n",
    ".gitignore": "ignored/\n",
}


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    root = tmp_path / "notes"
    for path, text in NOTES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def indexed(notes: Path) -> Path:
    """Indexed by keywords alone."""
    assert aios("index", "notes").exit_code == 0
    return notes


@pytest.mark.usefixtures("notes")
def test_index_tells_what_it_did_and_only_does_what_is_new() -> None:
    first = aios("index", "notes", "--json")
    assert first.exit_code == 0
    lines = [json.loads(line) for line in first.stdout.splitlines()]
    assert lines[-1]["stage"] == "done"
    assert (lines[-1]["files"], lines[-1]["chunks"], lines[-1]["pending_files"]) == (4, 0, 4)
    assert "python -m aios.artifacts" in first.stderr
    again = aios("index", "notes")
    assert again.stderr.startswith("notes: 4 files, 0 chunks embedded, ")
    assert again.stdout == ""


def test_index_embeds_and_counts_what_it_embedded(notes: Path, home: Path) -> None:
    weights.link(home)
    told = json.loads(aios("index", "notes", "--json").stdout.splitlines()[-1])
    assert (told["stage"], told["files"], told["chunks"], told["pending_chunks"]) == ("done", 4, 4, 0)
    (notes / "docs" / "mayor.txt").write_text("Peter Novak was elected mayor of Ashford.\n")
    (notes / "docs" / "kettle.md").rename(notes / "docs" / "boiler.md")
    told = json.loads(aios("index", "notes", "--json").stdout.splitlines()[-1])
    assert (told["files"], told["chunks"], told["pending_chunks"]) == (4, 1, 0)


def test_index_counts_the_files_that_are_left_out_and_names_some_of_each_kind(notes: Path) -> None:
    for number in range(5):
        (notes / "docs" / f"{number}.bin").write_bytes(bytes([number, *range(256)]) * 9)
    (notes / "docs" / "utf16.txt").write_bytes("the heron of the river\n".encode("utf-16-le"))
    (notes / "docs" / "nul.txt").write_bytes(b"the crane\0of the river\n")
    Path(os.fsdecode(bytes(notes / "docs") + b"/caf\xe9.txt")).write_text("kettle\n")
    os.mkfifo(notes / "pipe")
    (notes / "link").symlink_to("docs")
    told = aios("index", "notes").stderr
    assert "aios: 3 files are left out: " in told
    assert "docs/caf\\xe9.txt (the name is not UTF-8; rename it)" in told
    assert "link (a symbolic link, which is not followed)" in told
    assert "pipe (a socket, FIFO or device)" in told
    named = "docs/0.bin, docs/1.bin, docs/2.bin and 2 more (binary)"
    assert f"aios: 5 files are left out, but for their names: {named}\n" in told
    assert aios("search", "heron", "notes", "--mode", "keyword").stdout.startswith("notes/docs/utf16.txt:1: the heron")
    assert aios("search", "+crane", "notes", "--mode", "keyword").stdout.startswith("notes/docs/nul.txt:1: the crane")
    below = aios("index", "notes/code").stderr
    assert "left out" not in below


@pytest.mark.usefixtures("indexed")
def test_json_has_the_line_that_is_printed() -> None:
    for query in ("kettle", "lid never", "water", "boil return", "mayor", "Ashford"):
        words = ("search", query, "notes", "--mode", "keyword")
        printed = aios(*words).stdout.splitlines()
        hits = json.loads(aios(*words, "--json").stdout)["hits"]
        assert printed == [f"{hit['file']}:{hit['line']}: {hit['text']}" for hit in hits]
        assert all(hit["first_line"] <= hit["line"] <= hit["last_line"] for hit in hits)


@pytest.mark.parametrize(("there", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_file_is_named_in_either_form_of_its_name(
    notes: Path, there: Literal["NFC", "NFD"], typed: Literal["NFC", "NFD"]
) -> None:
    real, said = unicodedata.normalize(there, "café"), unicodedata.normalize(typed, "café")
    (notes / real).mkdir()
    (notes / real / f"{real}.txt").write_text("one kettle\n")
    assert aios("index", "notes").exit_code == 0
    (notes / real / f"{real}.txt").write_text("two kettles\n")
    path = f"notes/{said}/{said}.txt"
    assert [each["number"] for each in json.loads(aios("history", path, "--json").stdout)] == [2, 1]
    assert aios("show", path).stdout == "two kettles\n"
    assert aios("show", path, "--at", "1").stdout == "one kettle\n"
    assert "-one kettle" in aios("diff", path).stdout
    assert aios("restore", path).exit_code == 0
    assert (notes / real / f"{real}.txt").read_text() == "one kettle\n"
    assert len(list((notes / real).iterdir())) == 1
    for words in ((f"notes/{said}",), ("notes", "--path", f"{said}/*"), ("notes", "--path", f"{said}.txt")):
        assert aios("search", "kettle", *words, "--mode", "keyword", "-l").stdout.splitlines() == [
            f"notes/{real}/{real}.txt"
        ]
    (notes / real / f"{real}.txt").unlink()
    assert aios("show", path, "--at", "1").stdout == "one kettle\n"


def test_words_without_blanks_between_them_are_found_and_a_sign_needs_a_word(notes: Path) -> None:
    (notes / "weather.txt").write_text("東京の天気は晴れです。\n")
    assert aios("index", "notes").exit_code == 0
    for query in ("+東京", '"天気は晴れ"', "東京 -大阪"):
        assert aios("search", query, "notes").stdout == "notes/weather.txt:1: 東京の天気は晴れです。\n"
    refused = aios("search", "+!!!", "notes")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "+!!! has no word to look for" in refused.stderr


@pytest.mark.usefixtures("indexed")
def test_a_search_prints_lines_like_greps() -> None:
    result = aios("search", "lid", "notes", "--mode", "keyword")
    assert (result.exit_code, result.stdout) == (0, "notes/docs/kettle.md:4: The lid never closed well.\n")
    assert "\x1b" not in result.stdout


@pytest.mark.usefixtures("indexed")
def test_without_an_embedder_keywords_are_searched_and_that_is_said() -> None:
    result = aios("search", "kettle", "notes")
    assert result.stdout == "notes/docs/kettle.md:1: # The kettle\n"
    assert "python -m aios.artifacts" in result.stderr
    assert "4 files pending" in result.stderr
    assert aios("search", "kettle", "notes", "--mode", "semantic").exit_code == 8


@pytest.mark.usefixtures("indexed")
def test_context_is_told_as_grep_does() -> None:
    told = aios("search", "litre", "notes", "-C", "1", "--mode", "keyword").stdout
    assert told.splitlines() == [
        "notes/docs/kettle.md-2- ",
        "notes/docs/kettle.md:3: It boils a litre of water in three minutes.",
        "notes/docs/kettle.md-4- The lid never closed well.",
    ]


@pytest.mark.usefixtures("indexed")
def test_paths_alone_nothing_at_all_and_json() -> None:
    words = ("search", "water", "notes", "--mode", "keyword")
    assert sorted(aios(*words, "-l").stdout.splitlines()) == ["notes/code/boil.py", "notes/docs/kettle.md"]
    assert len(aios(*words, "-l", "-k", "1").stdout.splitlines()) == 1
    quiet = aios(*words, "-q")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")
    told = json.loads(aios(*words, "--json", "--path", "*.md").stdout)
    (hit,) = told["hits"]
    assert (hit["path"], hit["file"], hit["best"], hit["why"]) == ("docs/kettle.md", "notes/docs/kettle.md", 3, "kw")
    assert [hit["snippet"][start:end] for start, end in hit["marks"]] == ["water"]
    assert told["pending"] == {"files": 4, "chunks": 4}


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize(
    "words",
    [
        ["xylophone"],
        ["water", "--path", "*.rst"],
        ["water", "--type", "pdf"],
        ["water", "--author", "nobody"],
        ["water", "--until", "2001-01-01"],
        ["water", "--field", "status=final"],
        ["neighbour"],
    ],
)
def test_it_ends_with_one_when_nothing_is_found(words: list[str]) -> None:
    result = aios("search", *words, "notes", "--mode", "keyword")
    assert (result.exit_code, result.stdout) == (1, "")


def test_filters_let_through_what_they_name(indexed: Path) -> None:
    with Files(indexed) as files:
        files.by(Author("writer")).write("docs/new.rst", b"Title: Floods\nStatus: Final\n\nwater everywhere\n")
        files.tag("draft", ["docs/new.rst"])
    for words in (
        ["--author", "writer"],
        ["--type", "rst"],
        ["--path", "*.rst"],
        ["--tag", "draft"],
        ["--field", "status=final"],
        ["--since", "1 hour ago", "--path", "new.rst"],
    ):
        result = aios("search", "water", "notes", "-l", "--mode", "keyword", *words)
        assert (words, result.stdout) == (words, "notes/docs/new.rst\n")


def test_below_a_directory_only_what_is_there_is_found(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert aios("search", "water", "notes/code", "-l", "--mode", "keyword").stdout == "notes/code/boil.py\n"
    monkeypatch.chdir(indexed / "docs")
    assert aios("search", "water", "-l", "--mode", "keyword").stdout == "kettle.md\n"
    assert sorted(aios("search", "water", "..", "-l", "--mode", "keyword").stdout.split()) == [
        "../code/boil.py",
        "kettle.md",
    ]


def test_what_was_just_written_or_removed_by_others_is_no_surprise(indexed: Path) -> None:
    (indexed / "docs" / "zebra.txt").write_text("a zebra\n")
    (indexed / "docs" / "kettle.md").unlink()
    assert aios("search", "zebra", "notes", "-l", "--mode", "keyword").stdout == "notes/docs/zebra.txt\n"
    assert aios("search", "lid", "notes", "--mode", "keyword").exit_code == 1


def test_meaning_is_found_without_the_words(notes: Path, home: Path) -> None:
    weights.link(home)
    aios("index", "notes")
    told = json.loads(aios("search", "who governs the town", "notes", "--json", "-k", "1").stdout)
    assert (told["hits"][0]["path"], told["hits"][0]["why"], told["notes"]) == ("docs/mayor.txt", "vec", [])
    (notes / "docs" / "zebra.txt").write_text("An animal with black and white stripes.\n")
    told = json.loads(aios("search", "horse of africa", "notes", "--json", "-k", "1").stdout)
    assert told["hits"][0]["path"] == "docs/zebra.txt"
    assert told["pending"] == {"files": 0, "chunks": 0}


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["", "notes"], 2, "query is empty"),
        (["water", "notes", "--since", "soonish"], 2, "yesterday"),
        (["water", "notes", "--field", "status"], 2, "KEY=VALUE"),
        (["water", "notes", "--mode", "psychic"], 2, "psychic"),
        (["water", "nowhere"], 3, "nowhere"),
    ],
)
def test_what_cannot_be_asked_is_told(words: list[str], code: int, said: str) -> None:
    result = aios("search", *words)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


@pytest.mark.usefixtures("notes")
def test_where_nothing_is_indexed_yet_it_says_what_to_do() -> None:
    result = aios("search", "water", "notes")
    assert result.exit_code == 3
    assert "index it first: aios index notes" in result.stderr
    assert aios("index", "nowhere").exit_code == 3
    assert aios("index", "notes/.gitignore").exit_code == 2


def test_names_and_texts_do_nothing_to_the_terminal(notes: Path) -> None:
    (notes / "evil\x1b[2J\nname.txt").write_text("kettle \x1b[31m red\n")
    aios("index", "notes")
    told = aios("search", "red", "notes", "--mode", "keyword").stdout
    assert "\x1b" not in told
    assert told.count("\n") == 1
    assert aios("search", "red", "notes", "--mode", "keyword", "-l").stdout.count("\n") == 1


@pytest.mark.usefixtures("indexed")
def test_status_and_rebuild() -> None:
    told = json.loads(aios("files", "status", "notes", "--json").stdout)
    assert (told["files"], told["pending"]["files"], told["owner"], told["model"]) == (4, 4, None, None)
    assert "4 (" in aios("files", "status", "notes").stdout
    assert json.loads(aios("files", "rebuild", "notes", "--json").stdout)["files"] == 4
    assert aios("search", "lid", "notes", "-q", "--mode", "keyword").exit_code == 0
    assert aios("files", "reembed", "notes").exit_code == 8


@pytest.mark.whole
def test_it_watches_until_it_is_interrupted(notes: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "aios", "index", str(notes), "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        try:
            assert json.loads(ran.stdout.readline())["root"] == str(notes)
            while "watching" not in ran.stderr.readline():
                pass
            (notes / "docs" / "zebra.txt").write_text("a zebra\n")
            assert json.loads(ran.stdout.readline())["files"] == 5
        finally:
            ran.send_signal(signal.SIGINT)
        _, said = ran.communicate(timeout=60)
    assert (ran.returncode, said.splitlines()[-1]) == (130, "aios: interrupted")


@pytest.mark.whole
@pytest.mark.parametrize("plain", [False, True])
def test_on_a_terminal_lines_are_coloured_and_matches_marked(indexed: Path, plain: bool) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    environment |= {"NO_COLOR": "1"} if plain else {}
    command = [sys.executable, "-m", "aios", "search", "lid", str(indexed), "--mode", "keyword"]
    with Terminal(command, environment=environment) as terminal:
        assert terminal.end() == 0
    line = next(row for row, text in enumerate(terminal.screen.display) if "The lid" in text)
    cells = [terminal.screen.buffer[line][column] for column in range(terminal.screen.columns)]
    coloured = {colour: "".join(cell.data for cell in cells if cell.fg == colour) for colour in ("magenta", "red")}
    assert "notes/docs/kettle.md:4: The lid never closed well." in terminal.text.splitlines()
    assert coloured == ({"magenta": "", "red": ""} if plain else {"magenta": "notes/docs/kettle.md", "red": "lid"})


@pytest.mark.whole
def test_indexing_shows_a_bar_on_a_terminal_and_can_be_interrupted(notes: Path, home: Path) -> None:
    weights.link(home)
    for number in range(400):
        (notes / f"{number}.txt").write_text(f"Number {number} is a number among numbers.\n" * 20)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "aios", "index", str(notes)]
    with Terminal(command, environment=environment) as terminal:
        terminal.until("chunks · ")
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "aios: interrupted" in terminal.text
    status = json.loads(aios("files", "status", "notes", "--json").stdout)
    assert status["files"] == 404
    assert status["pending"]["files"] > 0
