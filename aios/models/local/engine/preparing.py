"""Work that a call needs before it can begin, done beside the loop that steps everybody's calls."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

THREADS = 4
"""So many calls with large grammars do not keep one with a small grammar waiting."""


class Bell:
    """A descriptor that can be waited for, and that any thread can make ready."""

    def __init__(self) -> None:
        self._heard, self._rung = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self._rung, False)

    def fileno(self) -> int:
        return self._heard

    def ring(self) -> None:
        """Wake whoever waits; ringing it twice is as good as once."""
        # It may be full of rings that nobody has heard yet.
        with suppress(BlockingIOError):
            os.write(self._rung, b"\0")

    def silence(self) -> None:
        """Forget all rings so far."""
        while select.select([self._heard], [], [], 0)[0]:
            os.read(self._heard, 4096)

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._heard)
        os.close(self._rung)


class Preparing(Generic[T]):
    """Calls that are made ready in threads. `ring` is called from these whenever one is.

    What is dropped meanwhile is handed to `discard` when it is ready.
    """

    def __init__(self, ring: Callable[[], None], discard: Callable[[T], None]) -> None:
        self._ring, self._discard = ring, discard
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prepare")
        self._wanted: set[int] = set()
        self._done: SimpleQueue[tuple[int, Future[T]]] = SimpleQueue()

    def begin(self, id: int, work: Callable[[], T]) -> None:
        """Have something made ready for a call."""
        self._wanted.add(id)

        def done(future: Future[T]) -> None:
            self._done.put((id, future))
            self._ring()

        self._threads.submit(work).add_done_callback(done)

    def drop(self, id: int) -> None:
        """Nobody waits for this one any more."""
        self._wanted.discard(id)

    def ready(self) -> list[tuple[int, Future[T]]]:
        """The calls that have become ready, each once."""
        found = []
        while not self._done.empty():
            id, future = self._done.get()
            if id in self._wanted:
                self._wanted.discard(id)
                found.append((id, future))
            elif not future.cancelled() and future.exception() is None:
                self._discard(future.result())
        return found

    def close(self) -> None:
        """Wait for what is under way, and discard it."""
        self._wanted.clear()
        self._threads.shutdown(cancel_futures=True)
        self.ready()
