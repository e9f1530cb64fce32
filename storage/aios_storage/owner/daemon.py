"""The owner of a root's index: the one process that watches, embeds, and holds the vectors.

It keeps nothing that cannot be made again, so it may be killed at any time. It is run as a program:
`python -m aios_storage.owner.daemon`.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aios_storage.embedders import Embedder, Floats, open_embedder
from aios_storage.index.filters import Selection
from aios_storage.index.index import Index
from aios_storage.owner.chroma import Chroma, as_floats
from aios_storage.owner.watch import Watcher
from aios_storage.owner.wire import owner_address, receive, send
from aios_storage.search.vectors import BruteForce, embed_pending
from aios_storage.versions.files import Files
from aios_storage.versions.store import open_own, own
from aios_syscalls.errors import AiosError, BadRequest, KernelBug

ANOTHER = 3
"""Exit code where the root's index has an owner already."""
BATCH = 8
"""Pieces embedded between two looks at what else there is to do."""
POLL_S = 0.5
"""Between looks for changes that nobody told of: writes of other processes."""
TROUBLE_S = 5.0
"""Before it is tried again after the disk or the embedder failed."""
PROBLEMS = 20
"""The last that are remembered."""
NICE = 10
"""How much its own work gives way to that of others, and to its answers."""
CHROMA_FROM = 20_000
"""Vectors from which an approximate index is faster than looking at each."""
OVERFETCH = 2
"""How many times as many are asked of Chroma as are wanted: some are in no file any more."""
MAX_CHROMA_HITS = 1000
"""Pieces asked of Chroma for one question; where too few of them are in a file, each is looked at instead."""
READY, FAILED = "ready", "failed, and is made anew"
GRACE_S = 2.0
"""For which an owner without a parent waits for somebody to ask it."""


class IndexDaemon:
    """Serves one root until it is stopped, or its parent is gone and nobody is connected."""

    def __init__(self, root: Path, embedder: Embedder, chroma_from: int = CHROMA_FROM) -> None:
        self.files = Files(root)
        self.index = Index(self.files)
        self.files.on_change = self._woken
        self._embedder = embedder
        self._exact = BruteForce(self.index, embedder)
        self._chroma: Chroma | None = None
        self._chroma_from = chroma_from
        self._chroma_lock = threading.Lock()
        self._chroma_state = "not needed"
        self._phase = "starting"
        self._problems: deque[str] = deque(maxlen=PROBLEMS)
        self._refused: AiosError | None = None
        self._embedded = 0
        self._embedding_s = 0.0
        self._counting = threading.Lock()
        self._asking = 0
        self._connections = 0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._watcher = Watcher(self.files, self._problems.append)

    # --- what it is asked

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The reply to a message."""
        try:
            match message:
                case {"do": "nearest", "text": str(text), "limit": int(limit), "among": among}:
                    selection = None if among is None else Selection(among[0], tuple(among[1]))
                    return {"found": [[hash.hex(), score] for hash, score in self.nearest(text, limit, selection)]}
                case {"do": "status"}:
                    return {"status": self.status()}
                case {"do": "reembed"}:
                    self.index.reembed(self._embedder.id, self._embedder.dimension)
                    self._woken()
                    return {"status": self.status()}
                case {"do": "stop"}:
                    self.stop()
                    return {"status": self.status()}
                case _:
                    raise BadRequest(f"an owner does not understand {message!r:.200}")
        except AiosError as error:
            return {"error": error.to_wire()}
        except Exception as error:
            return {"error": KernelBug(f"the owner met {type(error).__name__}: {error}; please report this").to_wire()}

    def nearest(self, text: str, limit: int, among: Selection | None) -> list[tuple[bytes, float]]:
        """The nearest pieces; by the approximate index where it is there and all files are meant."""
        known = self.index.model()
        if known is not None and known != (self._embedder.id, self._embedder.dimension):
            self.index.use(self._embedder.id, self._embedder.dimension)  # says what to do
        with self._counted("_asking"):
            vector = self._embedder.embed_query(text)
            if among is None and (found := self._approximately(vector, limit)) is not None:
                return found
            return self._exact.near(vector, limit, among)

    def status(self) -> dict[str, Any]:
        """How far everything is."""
        pending = self.index.pending()
        return {
            "pid": os.getpid(),
            "root": str(self.files.path),
            "phase": self._phase,
            "model": self._embedder.id,
            "dimension": self._embedder.dimension,
            "files": len(self.files.heads()),
            "pending_files": pending.files,
            "pending_chunks": pending.chunks,
            "embedded": self._embedded,
            "chunks_per_s": round(self._embedded / self._embedding_s, 2) if self._embedding_s else None,
            "vectors": self._exact.count,
            "chroma": self._chroma_state,
            "problems": [*self._problems, *([self._refused.message] if self._refused else [])],
        }

    # --- its life

    def stop(self) -> None:
        """Have `serve` end in order, soon."""
        self._stop.set()
        self._wake.set()

    def serve(self, listener: socket.socket, child: bool) -> None:
        """Serve until stopped; as a child also until its standard input ends and nobody is connected."""
        threads = [threading.Thread(target=self._accept, args=(listener,), daemon=True)]
        if child:
            threads.append(threading.Thread(target=self._follow_parent, daemon=True))
        for thread in threads:
            thread.start()
        try:
            self._work()
        finally:
            try:
                self._watcher.stop()
                with self._chroma_lock:
                    if self._chroma is not None:
                        self._chroma.close()
            finally:
                self.index.close()
                self.files.close()

    def _work(self) -> None:
        os.nice(NICE)  # of this thread alone, on Linux
        self._watcher.start()
        self._watcher.ready.wait(10)
        scanned = False
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if not scanned:
                    self._phase = "scanning"
                    self.files.scan()
                    scanned = True
                self.index.catch_up()
                if self._embed():
                    continue
                self._fill_chroma()
            except AiosError as error:
                self._phase = "in trouble"
                self._problems.append(error.message)
                self._stop.wait(TROUBLE_S)
                continue
            self._phase = "refused" if self._refused else "idle"
            self._wake.wait(POLL_S)

    def _embed(self) -> bool:
        """Embed some of what is to be; whether there was any."""
        if self._asking:
            time.sleep(0.005)  # a question needs the cores
            return True
        began = time.monotonic()
        try:
            self._phase = "embedding"
            done = embed_pending(self.index, self._embedder, BATCH)
        except BadRequest as error:
            self._refused = error
            return False
        self._refused = None
        self._embedded += done
        self._embedding_s += time.monotonic() - began if done else 0.0
        return done > 0

    def _approximately(self, vector: Floats, limit: int) -> list[tuple[bytes, float]] | None:
        """By Chroma, and by looking at those that it does not have yet; None where it is not ready or fails."""
        if self._chroma_state != READY or not self._chroma_lock.acquire(blocking=False):
            return None
        try:
            if self._chroma is None or self._chroma.generation != self.index.generation:
                return None
            wanted, alive = limit, set[bytes]()
            while len(alive) < limit:
                wanted *= OVERFETCH
                if wanted > MAX_CHROMA_HITS:
                    return None
                hashes = self._chroma.nearest(vector, wanted)
                alive = self.index.alive(hashes)
            through = self._chroma.through
        except BaseException as error:
            if not _of_chroma(error):
                raise
            self._chroma_state = FAILED
            self._problems.append(f"Chroma: {error}")
            self._woken()
            return None
        finally:
            self._chroma_lock.release()
        found = dict(self._exact.scores(vector, [hash for hash in hashes if hash in alive]))
        found |= dict(self._exact.near(vector, limit, after=through))
        return sorted(found.items(), key=lambda pair: -pair[1])[:limit]

    def _fill_chroma(self) -> None:
        """Give Chroma the vectors that it does not have; what goes wrong there is no harm."""
        if self._exact.refresh() < self._chroma_from:
            if self._chroma is not None and self._chroma.generation != self.index.generation:
                self._drop_chroma()
                self._chroma_state = "not needed"
            return
        try:
            generation = self.index.generation
            if self._chroma is not None and (self._chroma_state == FAILED or self._chroma.generation != generation):
                self._drop_chroma()
            if self._chroma is None:
                self._chroma_state = "opening"
                place = self.files.version_store.place / "index"
                self._chroma = Chroma(place, self._embedder.id, self._embedder.dimension, generation)
            while rows := self.index.some_vectors(self._chroma.through, 2000):
                with self._chroma_lock:
                    self._chroma.add([(id, hash) for id, hash, _ in rows], as_floats([data for _, _, data in rows]))
                self._chroma_state = f"{self._chroma.count} of {self._exact.count}"
                if self._stop.is_set() or self.index.pending():
                    break
            else:
                self._chroma_state = READY
        except BaseException as error:
            if not _of_chroma(error):
                raise
            self._chroma_state = FAILED
            self._problems.append(f"Chroma: {error}")
            self._drop_chroma()
            self._stop.wait(TROUBLE_S)

    def _drop_chroma(self) -> None:
        with self._chroma_lock:
            if self._chroma is not None:
                self._chroma.discard()
            self._chroma = None

    def _woken(self) -> None:
        self._wake.set()

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        """A block that is counted while it runs, on any thread."""
        with self._counting:
            setattr(self, name, getattr(self, name) + 1)
        try:
            yield
        finally:
            with self._counting:
                setattr(self, name, getattr(self, name) - 1)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it was closed: that is the end
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with self._counted("_connections"), connection, suppress(OSError, ValueError):
            while (message := receive(connection)) is not None:
                send(connection, self.answer(message))

    def _follow_parent(self) -> None:
        while sys.stdin.buffer.read(4096):
            pass
        while True:
            time.sleep(GRACE_S)
            if not self._connections:
                break
        self.stop()


def _of_chroma(error: BaseException) -> bool:
    """Whether Chroma may have raised it: its panics are no Exceptions. Without it each vector is looked at instead."""
    return not isinstance(error, KeyboardInterrupt | SystemExit | AiosError)


def _hide() -> None:
    """Let no other process of this user look into this one; see PR_SET_DUMPABLE in prctl(2)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def main(arguments: list[str] | None = None) -> int:
    """Own a root's index; exit code 3 where another does."""
    parser = argparse.ArgumentParser(prog="python -m aios_storage.owner.daemon", description=__doc__)
    parser.add_argument("root", type=lambda root: Path(root).absolute())
    parser.add_argument("--embedder", required=True, metavar="NAME:ARGUMENT")
    parser.add_argument("--chroma-from", type=int, default=CHROMA_FROM, metavar="VECTORS")
    parser.add_argument("--child", action="store_true", help="end when standard input does")
    options = parser.parse_args(arguments)
    _hide()
    try:
        files_place = own(options.root)
        with open(open_own(files_place / "owner.lock", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print(f"the index below {options.root} has an owner already", file=sys.stderr)
                return ANOTHER
            # Chroma's files grow to many gigabytes when they are damaged.
            most = max(4 << 30, 40 * sum(file.stat().st_size for file in files_place.glob("*.db")))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            place = owner_address(options.root)
            place.unlink(missing_ok=True)
            owner = IndexDaemon(options.root, open_embedder(options.embedder), options.chroma_from)
            os.chdir(files_place)  # Chroma reads its settings from a `.env` in the working directory
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                listener.bind(str(place))
                listener.listen(64)
                signal.signal(signal.SIGTERM, lambda *_: owner.stop())
                try:
                    owner.serve(listener, options.child)
                finally:
                    place.unlink(missing_ok=True)
    except AiosError as error:
        print(error.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
