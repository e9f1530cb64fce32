"""What .gitignore and .aiosignore leave out is what git leaves out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aios_storage.versions.files import Files
from aios_storage.versions.ignore import Ignore

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


@pytest.mark.whole
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


PATTERNS = r"""
*;a*;*a;a?;?b;*.x;**;**/;/**;a/;/a;/a/;a/b;a/*;a/**;a/**/b;**/b;**/a/b;a/*/b;*/b;/*;/*/;*/*;*/*/b;**/a/**;a**b
**b;[ab];[!ab];[^ab];[a-b]*;[b-a];[]-]*;[!]]*;[a;a[;a[]b;[[:alpha:]];[[:alnum:]-]*;[[:odd:]];[[:];[a[:]b];[a-]b;[\]a]b
\a;\*;a\*b;a\;\[ab];a[/]b;a\/b;*a*b;*ab*;a*a*b;*?*;??;???;a/?;?/?;**/?b/**;a//b;//a;.*;*.*;[.]x;a/**/;**/**/b;a/**/**/b
**/*a/*b;*a/**/*b;/a*/;\!a;!a;\#a;#a; a;[a-b-c];[--a];[\a-\b];[a\-b]*;a-b;a[-]b;*[*]*;**a/b**;/**/b;a/***/b;***/b;a***
"""
NAMES = ("a", "b", "ab", "aab", "a-b", "]", ".x", "-", "a.x", "*", "a*b", "[", "!a", "#a", " a", "c", "[ab]", "a[]b")


def of(data: bytes) -> Ignore:
    return Ignore(lambda path, _: data if path == ".gitignore" else None)


def listed(root: Path, *options: str) -> set[str]:
    command = ["git", "-C", str(root), "ls-files", "-zo", *options]
    return set(filter(None, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")))


@pytest.mark.whole
def test_each_pattern_matches_what_it_matches_for_git(tmp_path: Path) -> None:
    for directory in ("a/b/a", "a/ab", "b/a/b", "ab/a", "d/a/b/c"):
        (tmp_path / directory).mkdir(parents=True)
    for place in (tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())):
        for name in NAMES:
            if not (place / name).exists():
                (place / name).write_text("")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    every, wrong = listed(tmp_path), {}
    for pattern in PATTERNS.replace("\n", ";").strip(";").split(";"):
        (tmp_path / ".git" / "info" / "exclude").write_text(f"{pattern}\n")
        ignore = of(pattern.encode())
        mine = {path for path in every if not ignore.covers(path)}
        if theirs := mine ^ listed(tmp_path, "--exclude-standard"):
            wrong[pattern] = sorted(theirs)[:4]
    assert len(every) > 100
    assert not wrong
