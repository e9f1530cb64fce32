"""The identity of a syscall."""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from aios_syscalls.errors import BadRequest

__all__ = [
    "CallId",
]

PATTERN = r"^\d{1,18}\.\d{1,18}(:.+)?$"
_PARTS = re.compile(r"(\d{1,18})\.(\d{1,18})(?::(.+))?", re.DOTALL | re.ASCII)


class CallId(NamedTuple):
    """Which call it is: of process `pid` the `n`-th that it submitted, or a node of the graph that this one is.

    Counted within the process, so that it does not depend on what other processes do meanwhile. As text `PID.N`, or
    `PID.N:NODE`.
    """

    pid: int
    n: int
    node: str = ""

    def __str__(self) -> str:
        return f"{self.pid}.{self.n}:{self.node}" if self.node else f"{self.pid}.{self.n}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The identity that is written so. Raises BadRequest."""
        found = _PARTS.fullmatch(text)
        if found is None:
            raise BadRequest(f"{text!r} names no call: give PID.N, as 7.3 for the third call of process 7", "call")
        return cls(int(found[1]), int(found[2]), found[3] or "")
