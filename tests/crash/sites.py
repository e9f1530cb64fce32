"""Places in the product where a bug can be planted: a sync that is dropped, two durable steps that change places."""

from __future__ import annotations

import ast
import importlib
import inspect
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.crash import disk
from tests.crash.apart import apart
from tests.crash.judge import Work

MODULES = (
    *("aios_storage.disk.root", "aios_storage.disk.directory", "aios_storage.versions.transaction"),
    *("aios_storage.versions.blobs", "aios_storage.versions.store", "aios_storage.versions.database"),
    *("aios_storage.versions.retention", "aios.record.sqlite", "aios.record.database", "aios.record.recovery"),
    "aios.record.quota",
)
SYNCS = frozenset({"fsync", "settle"})
DURABLE = SYNCS | {"rename", "replace", "unlink", "rmdir", "delete", "move", "write", "adopt", "place", "_place"}
"""Steps that reach the disk by themselves; statements of one transaction reach it together, in whatever order."""
Reached = dict[str, frozenset[tuple[str, int]]]
"""By the name of a work the lines that it comes to, each with its file."""


@dataclass(frozen=True, slots=True)
class Site:
    """A bug that can be planted: which module, which function, and the works that come to it."""

    name: str
    where: str
    module: str
    function: str
    mutated: ast.Module
    reached: frozenset[str]
    swap: bool

    def plant(self) -> None:
        """Give the function its other code, in this process."""
        module = importlib.import_module(self.module)
        code = _code(compile(self.mutated, module.__file__ or "", "exec"), self.function.split("."))
        owner: Any = reduce(getattr, self.function.split("."), module)
        inspect.unwrap(owner).__code__ = code


def _code(code: CodeType, names: Sequence[str]) -> CodeType:
    for name in names:
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
    return code


def sites(works: Sequence[Work]) -> Iterator[Site]:
    """Every site that some work comes to."""
    reached = {work.name: _lines(work) for work in works}
    for name in MODULES:
        file = importlib.import_module(name).__file__ or ""
        tree = ast.parse(Path(file).read_text())
        for function, body in _bodies(tree):
            yield from _of_body(name, file, function, body, tree, reached)


def _of_body(
    name: str, file: str, function: str, body: list[ast.stmt], tree: ast.Module, reached: Reached
) -> Iterator[Site]:
    for at, statement in enumerate(body):
        who = frozenset(work for work, lines in reached.items() if (file, statement.lineno) in lines)
        where = f"{name}:{statement.lineno} {function}"
        if not who:
            continue
        if _called(statement) in SYNCS:
            mutated = _with(tree, body, at, [ast.copy_location(ast.Pass(), statement)], 1)
            yield Site(f"drop {ast.unparse(statement)}", where, name, function, mutated, who, False)
        if at + 1 < len(body) and {_called(statement), _called(body[at + 1])} <= DURABLE:
            mutated = _with(tree, body, at, [body[at + 1], statement], 2)
            title = f"swap {ast.unparse(statement)[:60]} and {ast.unparse(body[at + 1])[:60]}"
            yield Site(title, where, name, function, mutated, who, True)


def _with(tree: ast.Module, body: list[ast.stmt], at: int, new: list[ast.stmt], old: int) -> ast.Module:
    """A copy of the tree in which some statements are others."""
    kept = body[at : at + old]
    body[at : at + old] = new
    try:
        return ast.parse(ast.unparse(tree))
    finally:
        body[at : at + len(new)] = kept


def _called(statement: ast.stmt) -> str:
    """The last name of what a statement that is a call calls; empty for others."""
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return ""
    called = statement.value.func
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _bodies(tree: ast.Module) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Each list of statements, with the dotted name of the function that it is in."""

    def below(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, list[ast.stmt]]]:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inner = (*names, child.name)
            for field in ("body", "orelse", "finalbody"):
                body = getattr(child, field, None)
                if isinstance(body, list) and inner and not isinstance(child, ast.ClassDef):
                    yield ".".join(inner), body
            yield from below(child, inner)

    yield from below(tree, ())


def _lines(work: Work) -> frozenset[tuple[str, int]]:
    """The lines of those modules that a work comes to."""
    files = {importlib.import_module(name).__file__ for name in MODULES}
    place = disk.scratch()

    def live(_: Callable[[Any], None]) -> frozenset[tuple[str, int]]:
        found: set[tuple[str, int]] = set()

        def line(frame: FrameType, event: str, _: Any) -> Any:
            if frame.f_code.co_filename not in files:
                return None
            if event == "line":
                found.add((frame.f_code.co_filename, frame.f_lineno))
            return line

        threading.settrace(line)
        sys.settrace(line)
        work.before(place)
        work.run(place, lambda _: None)
        sys.settrace(None)
        return frozenset(found)

    try:
        end = apart(live)
        result: frozenset[tuple[str, int]] = end.result or frozenset()
        return result
    finally:
        shutil.rmtree(place)
