"""What `aios files` does to a root."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aios.cli.files.results import waiting
from aios.cli.files.root import KEPT, shown
from aios.terminal.exit import Code
from aios.terminal.output import out, print_json, size, stderr
from aios_syscalls.errors import BadRequest, ModelFailed

if TYPE_CHECKING:
    from aios_storage import Library


def status(library: Library, *, as_json: bool) -> Code:
    """Say what there is."""
    from aios_storage import OwnerClient

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
        "owner": nearest.status() if isinstance(nearest, OwnerClient) else None,
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
        out(f"{name:<9}{value}")
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
        out(f"{library.index.count():,} files, {waiting(pending) or 'nothing to embed again'}")
    return Code.OK


def reembed(library: Library, *, as_json: bool) -> Code:
    """Embed everything by the embedder in force; what it has embedded before is not embedded again."""
    from aios.cli.files.index import take_in
    from aios.cli.files.progress import listener
    from aios_storage import OwnerClient

    nearest = library.finder.nearest
    if isinstance(nearest, OwnerClient):
        nearest.reembed()
    elif library.embedder is not None:
        library.index.reembed(library.embedder.id, library.embedder.dimension)
    else:
        raise ModelFailed("there is no embedding model to embed with; fetch it: python -m aios.artifacts")
    with listener(as_json=as_json) as told:
        take_in(library, told)
    return Code.OK


def fsck(library: Library, *, repair: bool, as_json: bool) -> Code:
    """Read all that is kept; with `repair` make what is derived anew."""
    report = library.files.fsck()
    if repair:
        library.refresh()
        library.index.rebuild()
    library.index.catch_up()
    problems = list(report.problems)
    files, entries = len(library.files.heads()), library.index.count()
    if files != entries:
        problems.append(f"the index has {entries} files of {files}; --repair builds it anew")
    if as_json:
        print_json({**asdict(report), "problems": problems, "entries": entries})
    else:
        for problem in problems:
            out(problem)
        out(
            f"{report.versions:,} versions, {report.blobs:,} blobs and {report.files:,} files were read:"
            f" {f'{len(problems):,} problems' if problems else 'all is well'}"
        )
    return Code.ERROR if problems else Code.OK


def prune(library: Library, *, count: int | None, age: str | None, megabytes: int | None, as_json: bool) -> Code:
    """Forget old versions."""
    from aios.cli.files.when import here, since
    from aios_storage import Retention

    if count is None and age is None and megabytes is None:
        raise BadRequest("say what is to be kept: --count N, --age WHEN or --size MB", "count")
    age_s = None if age is None else here().timestamp() - since(age)
    done = library.files.prune(Retention(count, age_s, None if megabytes is None else megabytes * 1_000_000))
    if as_json:
        print_json(asdict(done))
    else:
        out(f"{done.versions:,} versions are gone, {size(done.bytes)} are free")
    return Code.OK


def gc(library: Library, *, as_json: bool) -> Code:
    """Free what no version needs."""
    freed = library.files.gc()
    if as_json:
        print_json({"bytes": freed})
    else:
        out(f"{size(freed)} are free")
    return Code.OK


def purge(library: Library, path: str, name: str, confirm: str, *, as_json: bool) -> Code:
    """Remove every trace of a file, once its path was said twice."""
    if confirm != path:
        raise BadRequest(
            f"purging takes every version of {path} too, for good; to do so: aios files purge {path} --confirm {path}",
            "confirm",
        )
    gone = library.purge(name, name)
    if as_json:
        print_json({"path": name, "versions": gone})
    else:
        out(f"{path} is gone, and its {gone:,} versions with it")
    return Code.OK
