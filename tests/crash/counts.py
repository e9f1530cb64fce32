"""What the crash harness has tried, and what it found wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple, Self

Kind = Literal["lost", "doubled", "dangling", "wrong"]
Report = Callable[[int], None]
"""Told of so many more tries."""


class Fault(NamedTuple):
    """One thing that may not be, after a crash.

    lost: what was acknowledged is not there. doubled: an effect is there twice. dangling: a row speaks of what is not
    there. wrong: anything else that is served and is not so, a change half made, an untyped error, a hang.
    """

    kind: Kind
    what: str


@dataclass(slots=True)
class Counts:
    """The figures of `scripts/torture`, and by name what is behind those that should be 0."""

    kill_points: int = 0
    power_cut_states: int = 0
    corruptions: int = 0
    io_errors: int = 0
    resumes: int = 0
    lost: int = 0
    doubled: int = 0
    dangling: int = 0
    wrong: int = 0
    planted_found: int = 0
    planted: int = 0
    faults: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, found: list[Fault], where: str) -> None:
        """Count faults."""
        for fault in found:
            setattr(self, fault.kind, getattr(self, fault.kind) + 1)
            self.faults.append(f"{where}: {fault.kind}: {fault.what}")

    def __iadd__(self, other: Self) -> Self:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self

    @property
    def whole(self) -> bool:
        """Whether nothing was wrong and every planted bug was found."""
        return not (self.lost or self.doubled or self.dangling or self.wrong) and self.planted_found == self.planted

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)
