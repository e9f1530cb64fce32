"""The libraries of the roots that runs have their files in: one a root, open as long as a run has it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aios_storage import Library


class Libraries:
    """Opens each library once, however many runs have it; of any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Library, int]] = {}
        """By what tells them apart, with the number of those that have it."""
        self._keys: dict[int, str] = {}

    def take(self, key: str, make: Callable[[], Library]) -> Library:
        """The library of a key, made where nobody has it; `give_back` must follow."""
        with self._lock:
            library, users = self._open.get(key) or (make(), 0)
            self._open[key] = library, users + 1
            self._keys[id(library)] = key
            return library

    def give_back(self, library: Library) -> None:
        """One that took it needs it no more; the last closes it."""
        with self._lock:
            key = self._keys[id(library)]
            _, users = self._open[key]
            self._open[key] = library, users - 1
            if users == 1:
                del self._open[key], self._keys[id(library)]
                library.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """One that is still out is closed by who gives it back: an abandoned call's thread may be at work in it."""
