"""Named points at which a test may have this process killed, to see what a crash there leaves behind."""

from __future__ import annotations

import os
import signal

FAILPOINT_VARIABLE = "AIOS_FAILPOINT"
"""`name:n` kills the process at the n-th pass of the point of that name."""

_name, _, _count = os.environ.get(FAILPOINT_VARIABLE, "").partition(":")
_left = int(_count or 1)


def reach(name: str) -> None:
    """Nothing, but for the point that the environment names: there the process ends as by `kill -9`."""
    global _left
    if name == _name:
        _left -= 1
        if not _left:
            os.kill(os.getpid(), signal.SIGKILL)
