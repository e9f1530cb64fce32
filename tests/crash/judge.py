"""What is tried, and how what is left of it is judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.crash.counts import Fault

Acknowledge = Callable[[int], None]
"""Told how many steps are through and have been acknowledged to whoever asked for them."""


class Work(Protocol):
    """Some steps of a real part of the system on a disk that may fail it at any operation."""

    name: str

    def know(self) -> None:
        """Find out what is right, where nothing fails; before any child is forked that judges."""

    def before(self, place: Path) -> None:
        """Make what is there before; nothing fails meanwhile."""

    def run(self, place: Path, acknowledge: Acknowledge) -> None:
        """Take all steps, in order."""

    def endure(self, place: Path, acknowledge: Acknowledge, mended: Callable[[], None]) -> list[Fault]:
        """Take all steps on a disk that fails one of them, and call `mended` once that was told.

        What is wrong is an error that is not of the ABI, or what does not go on then that has to.
        """

    def judge(self, place: Path, acknowledged: int) -> list[Fault]:
        """What is wrong with what is left, when so many steps had been acknowledged and one more may be half made."""


View = dict[str, Any]
"""All that can be asked of a store: by the question, the answer."""


def compare(view: View, views: Sequence[View], acknowledged: int, *, loose: bool = False) -> list[Fault]:
    """What is wrong with a view that has to be the one after the acknowledged steps, or after one more.

    A `loose` step is several durable ones: what it touches may be as before it or as after it, each by itself.
    """
    allowed = views[acknowledged : acknowledged + 2]
    if view in allowed:
        return []
    found = []
    for key in view:
        answers = [each[key] for each in allowed]
        if view[key] in answers:
            continue
        if loose and _between(view[key], answers):
            continue
        found.append(_fault(key, view[key], answers))
    if not found and not loose:
        found.append(Fault("wrong", f"a step is half made: {_who_is_where(view, allowed)}"))
    return found


def _between(value: Any, answers: Sequence[Any]) -> bool:
    """Whether each part is as in one of the answers, and nothing is gone that both have."""
    if isinstance(value, dict):
        return all(any(value.get(key) == each.get(key) for each in answers) for key in _keys(value, *answers))
    return all(part in value for part in answers[0] if part in answers[-1])


def _keys(*values: dict[Any, Any]) -> set[Any]:
    return set().union(*values)


def _fault(key: str, value: Any, answers: Sequence[Any]) -> Fault:
    items, wanted = _parts(value), [_parts(each) for each in answers]
    if missing := [part for part in wanted[0] if part not in items and part in wanted[-1]]:
        return Fault("lost", f"{key}: {_short(missing)} should be there; there is {_short(items)}")
    if len(set(map(repr, items))) < len(items):
        return Fault("doubled", f"{key}: {_short(items)}")
    odd = [part for part in items if not any(part in each for each in wanted)]
    return Fault("wrong", f"{key}: {_short(odd or items)}, where {_short(wanted[0])} or {_short(wanted[-1])} is right")


def _parts(value: Any) -> list[Any]:
    return list(value.items()) if isinstance(value, dict) else list(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 400 else f"{text[:400]}..."


def _who_is_where(view: View, allowed: Sequence[View]) -> str:
    return ", ".join(
        f"{key} {'before' if view[key] == allowed[0][key] else 'after'}"
        for key in view
        if allowed[0][key] != allowed[-1][key]
    )
