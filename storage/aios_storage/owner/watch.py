"""Hearing of what other programs do below a root, as they do it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from aios_storage.disk.path import is_protected
from aios_storage.versions.files import Files
from aios_storage.versions.ignore import NAMES, Ignore
from aios_syscalls.errors import AiosError

MANY = 500
"""Changed paths at once, above which the whole root is looked at instead."""
STEP_MS, DEBOUNCE_MS = 20, 100
AGAIN_S = 5.0
"""Between looks at the whole root, where the operating system cannot tell of changes."""


class Watcher(threading.Thread):
    """Records outside changes below a root until it is stopped; `problem` is why it only looks now and then."""

    def __init__(self, files: Files, on_problem: Callable[[str], None]) -> None:
        super().__init__(name="watcher", daemon=True)
        self._files = files
        self._on_problem = on_problem
        self._over = threading.Event()
        self.ready = threading.Event()
        """Set once nothing that happens from then on is missed."""

    def run(self) -> None:
        try:
            self._watch()
        except (OSError, RuntimeError) as error:
            self._on_problem(f"changes are looked for every {AGAIN_S:g} s, since the system does not tell: {error}")
            self.ready.set()
            while not self._over.wait(AGAIN_S):
                self._record(["."], None)

    def stop(self) -> None:
        """End it; returns when it has."""
        self._over.set()
        if self.is_alive():
            self.join()

    def _watch(self) -> None:
        from watchfiles import watch

        root = self._files.path.resolve()
        ignore = self._files.ignore()

        def wanted_of_us(_: object, path: str) -> bool:
            # Of changes that are all turned down, as ours are, watchfiles says nothing, not even by timeout.
            self.ready.set()
            return not _protected(os.path.relpath(path, root))

        changes = watch(
            root,
            watch_filter=wanted_of_us,
            step=STEP_MS,
            debounce=DEBOUNCE_MS,
            rust_timeout=200,
            yield_on_timeout=True,
            stop_event=self._over,
            ignore_permission_denied=True,
            recursive=True,
            raise_interrupt=False,
        )
        for found in changes:
            self.ready.set()  # the first comes when the system has begun to tell, by timeout if by nothing else
            paths = {os.path.relpath(path, root) for _, path in found}
            if not paths:
                continue
            if len(paths) > MANY or any(os.path.basename(path) in NAMES for path in paths):
                ignore = self._files.ignore()
                paths = {"."}
            wanted = [path for path in sorted(paths) if path == "." or not ignore.covers(path)]
            if wanted:
                self._record(wanted, ignore)

    def _record(self, paths: list[str], ignore: Ignore | None) -> None:
        # A full disk today is no reason to hear of nothing tomorrow.
        try:
            self._files.scan(paths, ignore)
        except AiosError as error:
            self._on_problem(f"what changed on the disk was not recorded: {error.message}")


def _protected(path: str) -> bool:
    return any(is_protected(part) for part in path.split(os.sep))
