"""`aios index`: scan, take in, embed, and tell how far it is."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aios.cli.files.open import opened
from aios.cli.files.progress import IndexState, Listener, Rate, listener
from aios.cli.files.results import flat
from aios.cli.files.root import place, shown
from aios.terminal.exit import Code
from aios.terminal.output import clean
from aios_syscalls.errors import BadRequest, NotFound, StorageFailed

if TYPE_CHECKING:
    from aios_storage import Library, Nearest

POLL_S = 0.2
PATIENCE_S = 5.0
"""For work that was given up. An engine that is cut off in the middle by the end of the process aborts it."""
BATCH = 16
"""Pieces embedded before it is asked whether to go on."""
NAMED = 3
"""Files that are named for each reason why files are left out."""
NO_EMBEDDER = "there is no embedding model, so files are found by their words only; fetch it: python -m aios.artifacts"


def index(directories: Sequence[Path], *, watch: bool, as_json: bool) -> Code:
    """Index directories, one after the other; then go on as they change, if to watch."""
    roots: dict[Path, list[str]] = {}
    for directory in directories:
        if not directory.expanduser().is_dir():
            error = f"{directory} is no directory; name one whose files are to be found"
            raise BadRequest(error, "directory") if directory.exists() else NotFound(error, field="directory")
        found = place(directory)
        roots.setdefault(found.root, []).append(found.path)
    with listener(as_json=as_json) as told, ExitStack() as stack:
        libraries = [stack.enter_context(opened(root)) for root in roots]
        for library, below in zip(libraries, roots.values(), strict=True):
            try:
                take_in(library, told, tuple(below))
            except StorageFailed:  # the owner that was to embed has ended: then it is done here
                with opened(library.root) as again:
                    take_in(again, told, tuple(below))
        if watch:
            _watch(libraries, told)
    return Code.OK


def take_in(library: Library, told: Listener, below: tuple[str, ...] = (".",)) -> None:
    """Bring a root's index to what is at or below some paths on the disk, and tell of it until that is done."""
    tally = Tally(library)

    def work() -> None:
        skipped = library.refresh(below).skipped if below else []
        library.index.catch_up()
        for line in left_out(skipped, library.index.wordless(below) if below else []):
            told.note(line)
        tally.stage = "embedding"
        while library.embedder is not None and not beside.given_up and library.embed(BATCH):
            pass

    beside = BackgroundIndexing(work)
    with beside:
        while not beside.wait(POLL_S):
            told.tell(tally.state())
        while library.embedder is None and library.finder.nearest is not None and library.pending():
            _hear(library.finder.nearest)
            time.sleep(POLL_S)
            told.tell(tally.state())
    tally.stage = "done"
    told.tell(tally.state())
    if library.finder.nearest is None:
        told.note(NO_EMBEDDER)


def left_out(skipped: Sequence[tuple[str, str]], wordless: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Which files are not found, or by their names alone: how many, and for each reason how many and some of them."""
    for files, but in (
        (skipped, ""),
        (wordless, ", but for their names" if len(wordless) > 1 else ", but for its name"),
    ):
        if files:
            count = f"{len(files):,} {'file is' if len(files) == 1 else 'files are'} left out{but}"
            yield f"{count}: {'; '.join(_reasons(files))}"


def _reasons(files: Sequence[tuple[str, str]]) -> Iterator[str]:
    named: dict[str, list[str]] = defaultdict(list)
    for path, why in files:
        named[why].append(clean(flat(path)))
    for why, paths in sorted(named.items(), key=lambda each: -len(each[1])):
        more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
        yield f"{', '.join(paths[:NAMED])}{more} ({clean(flat(why))})"


def _hear(nearest: Nearest) -> None:
    """Raises StorageFailed where the owner, who embeds in another process, is gone, BadRequest where it may not."""
    from aios_storage import OwnedVectors, OwnerClient

    owner = nearest.reach() if isinstance(nearest, OwnedVectors) else nearest
    if isinstance(owner, OwnerClient) and (said := owner.status())["phase"] == "refused":
        raise BadRequest(said["problems"][-1], "embedder")


class Tally:
    """Counts what was done to a root since now, by whoever does it: it is read off the index."""

    def __init__(self, library: Library) -> None:
        self.stage = "scanning"
        self._library = library
        self._began = time.monotonic()
        self._before = library.index.embeddings()
        self._rate = Rate()

    def state(self) -> IndexState:
        """How far it is."""
        library = self._library
        count, pending = library.index.embeddings() - self._before, library.pending()
        speed = self._rate.of(count)
        return IndexState(
            root=str(library.root),
            stage=self.stage,
            files=library.index.count(),
            chunks=count,
            pending_files=pending.files,
            pending_chunks=pending.chunks,
            seconds=round(time.monotonic() - self._began, 3),
            rate=round(speed, 2),
            eta_s=round(pending.chunks / speed, 1) if speed and self.stage == "embedding" else None,
        )


class BackgroundIndexing:
    """Runs work in a thread; what it raises is raised where the block ends.

    When the block is left by an error the work is `given_up`: it should end soon, and is waited for a little.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self.given_up = False
        self._work = work
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def wait(self, seconds: float) -> bool:
        """Whether it is over, after so long at most."""
        return self._over.wait(seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.given_up = error is not None
        self._thread.join(PATIENCE_S if self.given_up else None)
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._over.set()


def _watch(libraries: Sequence[Library], told: Listener) -> None:
    """Take in what changes, until Ctrl-C."""
    from aios_storage import OwnerClient, Watcher

    with ExitStack() as stack:
        for library in libraries:
            if not isinstance(library.finder.nearest, OwnerClient):  # which watches already
                watcher = Watcher(library.files, told.note)
                watcher.start()
                stack.callback(watcher.stop)
                watcher.ready.wait()
                library.refresh()  # what changed before it watched
        seen = {library.root: -1 for library in libraries}
        told.note(f"watching {', '.join(shown(each.root) for each in libraries)}; Ctrl-C ends it")
        while True:
            for library in libraries:
                last = library.files.last_seq()
                if seen[library.root] not in (-1, last):
                    take_in(library, told, ())
                seen[library.root] = last
            time.sleep(POLL_S)
