"""How a worker shows that it makes progress, also within one long step.

llama.cpp asks a callback after each operation of a step whether to give up. Ours is the C library's `sem_post`: it
answers 0, no, and counts, in nanoseconds; a Python function would want the interpreter's lock hundreds of times a step.
A thread looks at the count and says so when it has moved. A slow step moves it, however slow; a worker that is stopped,
or runs in circles, does not. Without such semaphores (macOS), or with the operations on a GPU, only steps count.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from llama_cpp import llama_cpp as C

SEMAPHORE_BYTES = 128
"""More than a `sem_t` has anywhere."""


class Progress:
    """Counts the steps of this process and the operations of the one that is going on."""

    def __init__(self) -> None:
        self._steps = 0
        self._semaphore = ctypes.create_string_buffer(SEMAPHORE_BYTES)
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def follow(self, context: Any) -> None:
        """Count the operations of a llama_context."""
        if self._libc:
            self.begin()
            address = ctypes.cast(self._libc.sem_post, ctypes.c_void_p).value
            C.llama_set_abort_callback(context, C.ggml_abort_callback(address), ctypes.addressof(self._semaphore))

    def begin(self) -> None:
        """A step begins. Its operations count from 0, since a semaphore that overflows would say: give up."""
        self._steps += 1
        if self._libc:
            self._libc.sem_init(self._semaphore, 0, 0)

    def tick(self) -> None:
        """Something was done beside the steps."""
        self._steps += 1

    @property
    def count(self) -> tuple[int, int]:
        """Steps begun, and operations done of the last."""
        operations = ctypes.c_int()
        if self._libc:
            self._libc.sem_getvalue(self._semaphore, ctypes.byref(operations))
        return self._steps, operations.value


@cache
def progress() -> Progress:
    """The progress of this process: there is one engine in it."""
    return Progress()


class Heartbeat:
    """Calls `beat` from a thread of its own every `interval_s` in which there was progress, until it is stopped."""

    def __init__(self, interval_s: float, beat: Callable[[], None]) -> None:
        self._interval_s, self._beat = interval_s, beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        seen = progress().count
        while not self._stopped.wait(self._interval_s):
            if (now := progress().count) != seen:
                seen = now
                try:
                    self._beat()
                except OSError:
                    return  # nobody listens any more; the main thread finds out by itself

    def stop(self) -> None:
        """Be silent from now on."""
        self._stopped.set()
        self._thread.join()
