"""What .gitignore and .aiosignore leave out is what git leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path

from aios_storage.files import Files
from aios_storage.ignore import Ignore

TREE = {
    ".gitignore": "*.log\n/build/\n!keep.log\ndocs/**/draft*\n# comment\n\\#odd\n",
    "sub/.gitignore": "!special.log\nlocal.txt\n",
    "a.log": "",
    "keep.log": "",
    "a.txt": "",
    "build/x.txt": "",
    "sub/build/x.txt": "",
    "sub/a.log": "",
    "sub/special.log": "",
    "sub/local.txt": "",
    "local.txt": "",
    "docs/a/draft1.md": "",
    "docs/draft2.md": "",
    "docs/done.md": "",
    "#odd": "",
    "emoji 🙂.log": "",
}


def make(root: Path) -> None:
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")


def test_as_git_does(tmp_path: Path) -> None:
    make(tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    listed = subprocess.run(
        ["git", "-C", tmp_path, "ls-files", "-zco", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    with Files(tmp_path) as files:
        ignore = files.ignore()
        assert {name for name in TREE if not ignore.covers(name)} == set(filter(None, listed.stdout.split("\0")))
        files.scan()
        assert {head.path for head in files.heads()} == set(filter(None, listed.stdout.split("\0")))


def test_aiosignore_has_the_last_word() -> None:
    rules = {".gitignore": b"*.log\n", ".aiosignore": b"!*.log\n*.csv\n", "deep/.aiosignore": b"!a.csv\n"}
    ignore = Ignore(lambda path, _: rules.get(path))
    assert [ignore.covers(name) for name in ("a.log", "a.csv", "deep/a.csv", "deep/b.csv")] == [0, 1, 0, 1]


def test_what_is_ours_is_never_a_file_of_the_root() -> None:
    ignore = Ignore(lambda _path, _most: b"!.aios\n!.aios/truth.db\n")
    assert ignore(".aios", True)
    assert ignore.covers(".aios/truth.db")
