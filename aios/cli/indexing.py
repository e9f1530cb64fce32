"""`aios index`: scan, take in, embed, and tell how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aios.cli.exit import Code
from aios.cli.place import place, shown
from aios.cli.progress import Listener, Rate, State, listener
from aios_syscalls.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from aios_storage.library import Library

POLL_S = 0.2


def index(directories: Sequence[Path], *, watch: bool, as_json: bool) -> Code:
    """Index directories, one after the other, then watch them if so."""
    from contextlib import ExitStack

    from aios_storage.library import Library

    roots: dict[Path, list[str]] = {}
    for directory in directories:
        if not directory.expanduser().is_dir():
            kind = BadRequest if directory.exists() else NotFound
            raise kind(f"{directory} is no directory; name one whose files are to be found", field="directory")
        found = place(directory)
        roots.setdefault(found.root, []).append(found.path)
    with listener(as_json=as_json) as told, ExitStack() as stack:
        libraries = [stack.enter_context(Library(root)) for root in roots]
        for library, below in zip(libraries, roots.values(), strict=True):
            take_in(library, told, below)
        if watch:
            _watch(libraries, told)
    return Code.OK


def take_in(library: Library, told: Listener, below: Sequence[str] = (".",)) -> None:
    """Bring a root's index to what is on the disk, and tell of it until that is done."""
    began, before = time.monotonic(), library.embedded()
    rate = Rate()
    stage = "scanning"

    def state(stage: str) -> State:
        count, pending = library.embedded() - before, library.pending()
        speed = rate.of(count)
        return State(
            root=shown(library.root),
            stage=stage,
            files=library.count(),
            chunks=count,
            pending_files=pending.files,
            pending_chunks=pending.chunks,
            seconds=round(time.monotonic() - began, 3),
            rate=round(speed, 2),
            eta_s=round(pending.chunks / speed, 1) if speed and stage == "embedding" else None,
        )

    def work() -> None:
        nonlocal stage
        scanned = library.refresh(below)
        for path, why in scanned.skipped:
            told.note(f"{path} is left out: {why}")
        stage = "embedding"
        library.embed()

    with Beside(work) as beside:
        while not beside.wait(POLL_S):
            told.tell(state(stage))
    told.tell(state("done"))


class Beside:
    """Runs work in a thread; what it raises is raised where the block ends."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def wait(self, seconds: float) -> bool:
        """Whether it is over, after so long at most."""
        return self._over.wait(seconds)

    def __enter__(self) -> Beside:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._thread.join()
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error
        finally:
            self._over.set()


def _watch(libraries: Sequence[Library], told: Listener) -> None:
    """Take in what changes, until Ctrl-C."""
    from watchfiles import watch

    told.note(f"watching {', '.join(shown(each.root) for each in libraries)}; Ctrl-C ends it")
    # Its own filter is for source trees; what is ignored here is for the library to say.
    for changes in watch(*(each.root for each in libraries), watch_filter=None, raise_interrupt=True):
        for library in libraries:
            paths = [Path(path) for _, path in changes if Path(path).is_relative_to(library.root)]
            if any(".aios" not in path.relative_to(library.root).parts for path in paths):
                take_in(library, told)
