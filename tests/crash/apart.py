"""Something done in a forked child, which may die or hang of it without harm."""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.crash.counts import Fault

Item = TypeVar("Item")

PATIENCE_S = 60.0
"""After which a child hangs: many times what anything here takes on a busy machine."""


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: what it said until then, and its result, signal or error."""

    said: tuple[Any, ...]
    result: Any = None
    killed: bool = False
    hung: bool = False
    error: str = ""

    @property
    def well(self) -> bool:
        """Whether it came to its end."""
        return not (self.killed or self.hung or self.error)


def apart(work: Callable[[Callable[[Any], None]], Any], patience_s: float = PATIENCE_S) -> End:
    """Do `work` in a child; what it tells through its argument is known here also if it is killed then."""
    sys.stdout.flush()
    sys.stderr.flush()
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        os.close(source)
        _live(work, sink)
    os.close(sink)
    data, hung = _heard(source, patience_s)
    os.close(source)
    if hung:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return _end(data, status, hung)


def _live(work: Callable[[Callable[[Any], None]], Any], sink: int) -> None:
    def tell(kind: str, what: Any) -> None:
        data = pickle.dumps((kind, what))
        data = len(data).to_bytes(8, "little") + data
        while data:
            data = data[os.write(sink, data) :]

    try:
        result = work(lambda what: tell("said", what))
        tell("result", result)
    except BaseException:
        tell("error", traceback.format_exc()[-1_000:])
    finally:
        os._exit(0)


def _heard(source: int, patience_s: float) -> tuple[bytes, bool]:
    data = bytearray()
    while True:
        ready, _, _ = select.select([source], [], [], patience_s)
        if not ready:
            return bytes(data), True
        piece = os.read(source, 1 << 16)
        if not piece:
            return bytes(data), False
        data += piece


def _end(data: bytes, status: int, hung: bool) -> End:
    said, at, last = [], 0, ("", None)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 8], "little")
        if at + 8 + size > len(data):
            break
        last = pickle.loads(data[at + 8 : at + 8 + size])
        if last[0] == "said":
            said.append(last[1])
        at += 8 + size
    if hung:
        return End(tuple(said), hung=True)
    if last[0] == "result":
        return End(tuple(said), last[1])
    if last[0] == "error":
        return End(tuple(said), error=str(last[1]))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return End(tuple(said), killed=True)
    return End(tuple(said), error=f"ended with status {status}")


CHUNK = 25
"""Items that one child takes: to fork is dearer than most of what is done."""


def each_apart(items: Sequence[Item], do: Callable[[Item], list[Fault]]) -> Iterator[tuple[Item, list[Fault]]]:
    """What `do` finds of each item, in children; for one of which a child hangs or dies, that is what is found.

    `do` leaves no thread behind: it may fork itself.
    """
    at = 0
    while at < len(items):
        part = items[at : at + CHUNK]

        def work(tell: Callable[[Any], None], part: Sequence[Item] = part) -> None:
            for item in part:
                tell(do(item))
                join_threads()

        end = apart(work)
        yield from zip(part, end.said, strict=False)
        at += len(end.said)
        if not end.well:
            why = "it hangs" if end.hung else end.error or "it was killed"
            yield items[at], [Fault("wrong", f"opened again {why}")]
            at += 1


def join_threads() -> None:
    """Wait for the threads that have been told to end, as those of an event loop that is over."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(PATIENCE_S)
