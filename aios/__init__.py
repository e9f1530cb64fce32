"""aios: an operating-system kernel for LLM agents.

`aios.connect()` and `aios.connect_sync()` make any program a client of the daemon. They are loaded when they are first
asked for: `import aios` by itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios.client.blocking import connect_sync as connect_sync
    from aios.client.connect import connect as connect

__version__ = "0.1.0"

_PLACES = {"connect": "aios.client.connect", "connect_sync": "aios.client.blocking"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
