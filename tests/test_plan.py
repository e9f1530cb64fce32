"""The plan of the house, drawn from its imports and from what `.importlinter` lets through."""

from __future__ import annotations

from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOTS = ("aios", "aios_storage", "aios_syscalls")
CONTRACTS = Path(__file__).parents[1] / ".importlinter"
FACES = {"aios.kernel.core", "aios_syscalls.errors"}
"""Beside the rooms themselves: what a core is to the kernel; and the errors, which are all that the store may know."""


def room(module: str) -> str:
    """The room of a module: a top-level name of `aios`, or one of the other two packages."""
    first, _, rest = module.partition(".")
    return f"aios.{rest.partition('.')[0]}" if first == "aios" and rest else first


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    graph = grimp.build_graph(*ROOTS, cache_dir=None, exclude_type_checking_imports=True)
    found: dict[str, set[str]] = {room(module): set() for module in graph.modules}
    for module in graph.modules:
        found[room(module)] |= {room(imported) for imported in graph.find_modules_directly_imported_by(module)}
    return {name: imported - {name} for name, imported in found.items()}


def let_through() -> list[str]:
    """The right sides of every import between rooms that a contract ignores."""
    contracts = ConfigParser()
    contracts.read(CONTRACTS)
    ignored = [contracts[section].get("ignore_imports", "") for section in contracts.sections()]
    lines = [line.partition("->") for lines in ignored for line in lines.splitlines() if line]
    return [right.strip() for left, _, right in lines if room(left.strip(" *.")) != room(right.strip(" *."))]


def no_circle(rooms: dict[str, set[str]]) -> None:
    TopologicalSorter(rooms).prepare()


def test_no_circle_is_between_rooms() -> None:
    no_circle(arrows())


def test_control_an_arrow_back_up_makes_a_circle() -> None:
    rooms = arrows()
    rooms["aios.scheduler"].add("aios.cli")
    with pytest.raises(CycleError):
        no_circle(rooms)


def test_what_the_contracts_let_through_is_the_face_of_a_room() -> None:
    faces = FACES | set(arrows())
    assert let_through()
    assert [name for name in let_through() if name not in faces] == []


def test_no_face_is_listed_in_vain() -> None:
    assert set(let_through()) >= FACES
