"""Which files are none of ours: what .gitignore and .aiosignore say, at every level, as git reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from aios_storage.disk.path import is_protected
from aios_storage.versions.wildmatch import IgnoreRules

NAMES = (".gitignore", ".aiosignore")
MAX_IGNORE_BYTES = 1024 * 1024
"""Bytes of an ignore file that are read."""


class Ignore:
    """A predicate over paths below a root; reads the ignore files of a directory when it first meets the directory."""

    def __init__(self, read: Callable[[str, int], bytes | None]) -> None:
        """`read(path, most)` gives a file's bytes, or None where there is none."""
        self._read = read
        self._rules: dict[str, IgnoreRules | None] = {}

    def __call__(self, path: str, directory: bool) -> bool:
        """Whether to leave out a path, a directory if so, whose own directory is not left out."""
        if is_protected(path):
            return True
        ignored = False
        for base in _levels(path):
            rules = self._of(base)
            said = rules(path[len(base) + 1 :] if base else path, directory) if rules else None
            # A deeper file overrules: None is no opinion.
            ignored = ignored if said is None else said
        return ignored

    def covers(self, path: str) -> bool:
        """Whether to leave out a file, or a directory that leads to it."""
        parts = path.split("/")
        return any(self("/".join(parts[:depth]), depth < len(parts)) for depth in range(1, len(parts) + 1))

    def _of(self, base: str) -> IgnoreRules | None:
        if base not in self._rules:
            lines: list[str] = []
            for name in NAMES:
                data = self._read(f"{base}/{name}" if base else name, MAX_IGNORE_BYTES)
                lines += (data or b"").decode("utf-8-sig", "replace").split("\n")
            self._rules[base] = IgnoreRules(lines) if any(map(str.strip, lines)) else None
        return self._rules[base]


def _levels(path: str) -> list[str]:
    """The directories that hold a path, from the root, which is empty."""
    parents = [str(parent) for parent in PurePosixPath(path).parents]
    return ["" if parent == "." else parent for parent in reversed(parents)]
