"""What `aios files` does to a root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aios.cli.exit import Code
from aios.cli.hits import waiting
from aios.cli.output import print_json, size, stderr
from aios.cli.place import KEPT, shown
from aios_syscalls.errors import ModelFailed

if TYPE_CHECKING:
    from aios_storage.library import Library


def status(library: Library, *, as_json: bool) -> Code:
    """Say what there is."""
    from aios_storage.client import Owner

    pending, known = library.pending(), library.index.model()
    nearest = library.finder.nearest
    facts: dict[str, Any] = {
        "root": str(library.root),
        "files": library.index.count(),
        "bytes": sum(head.size for head in library.files.heads()),
        "versions": library.files.last_seq(),
        "tags": library.files.tags(),
        "pending": {"files": pending.files, "chunks": pending.chunks},
        "model": known[0] if known else None,
        "kept_bytes": sum(file.stat().st_size for file in (library.root / KEPT).rglob("*") if file.is_file()),
        "owner": nearest.status() if isinstance(nearest, Owner) else None,
    }
    if as_json:
        print_json(facts)
        return Code.OK
    rows = {
        "root": shown(library.root),
        "files": f"{facts['files']:,} ({size(facts['bytes'])})",
        "changes": f"{facts['versions']:,} recorded",
        "tags": ", ".join(facts["tags"]) or "none",
        "kept": f"{size(facts['kept_bytes'])} in {KEPT}, index included",
        "meaning": f"by {facts['model']}, {waiting(pending) or 'nothing pending'}" if known else "nothing embedded yet",
        "owner": f"process {facts['owner']['pid']}, {facts['owner']['phase']}" if facts["owner"] else "none",
    }
    for name, value in rows.items():
        print(f"{name:<9}{value}")
    return Code.OK


def rebuild(library: Library, *, as_json: bool) -> Code:
    """Build the index anew, with a bar on a terminal."""
    from rich.progress import Progress

    console = stderr()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("rebuilding", total=None)
        library.index.rebuild(lambda done, total: bar.update(task, completed=done, total=total))
    pending = library.pending()
    if as_json:
        print_json({"files": library.index.count(), "pending": {"files": pending.files, "chunks": pending.chunks}})
    else:
        print(f"{library.index.count():,} files, {waiting(pending) or 'nothing to embed again'}")
    return Code.OK


def reembed(library: Library, *, as_json: bool) -> Code:
    """Embed everything by the embedder in force; what it has embedded before is not embedded again."""
    from aios.cli.indexing import take_in
    from aios.cli.progress import listener
    from aios_storage.client import Owner

    nearest = library.finder.nearest
    if isinstance(nearest, Owner):
        nearest.reembed()
    elif library.embedder is not None:
        library.index.reembed(library.embedder.id, library.embedder.dimension)
    else:
        raise ModelFailed("there is no embedding model to embed with; fetch it: python -m aios.setup")
    with listener(as_json=as_json) as told:
        take_in(library, told)
    return Code.OK
