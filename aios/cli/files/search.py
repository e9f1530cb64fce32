"""`aios search`: from flags to a query, and from results to lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aios.cli.files import results as hits
from aios.cli.files.open import library
from aios.cli.files.root import spelled
from aios.terminal.exit import Code
from aios.terminal.output import out, print_json, say, stdout
from aios_syscalls.errors import BadRequest

if TYPE_CHECKING:
    from aios_storage import Filters, Query, Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for, as it was typed."""

    query: str
    mode: Literal["hybrid", "semantic", "keyword"] = "hybrid"
    limit: int = 10
    context: int = 0
    paths: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    types: Sequence[str] = ()
    authors: Sequence[str] = ()
    tags: Sequence[str] = ()
    fields: Sequence[str] = ()

    def to_query(self, below: str) -> Query:
        """The library's query, for what lies below a directory. Raises BadRequest for a malformed part."""
        from aios_storage import Query

        if not self.query.strip():
            raise BadRequest("the query is empty; say what to look for", "query")
        return Query(
            text=self.query, mode=self.mode, filters=self._filters(below), limit=self.limit, context=self.context
        )

    def _filters(self, below: str) -> Filters:
        from aios_storage import Filters

        return Filters(
            paths=tuple(self.paths),
            since=_moment(self.since),
            until=_moment(self.until),
            types=tuple(self.types),
            authors=tuple(self.authors),
            tags=tuple(self.tags),
            fields=tuple(map(field, self.fields)),
            within=None if below == "." else (below,),
        )


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    from aios.cli.files.when import since  # with all that it needs, it is too slow for most searches

    return since(text)


def field(text: str) -> tuple[str, str]:
    """KEY=VALUE in two. Raises BadRequest."""
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise BadRequest(f"--field {text} is not KEY=VALUE; write for example --field status=final", "field")
    return key.strip(), value.strip()


def search(wanted: Wanted, directory: str, *, names: bool, quiet: bool, as_json: bool) -> Code:
    """Search, and print what was found: lines like grep's, paths alone, JSON, or nothing."""
    with library(directory, few=wanted.mode != "keyword") as (found, below):
        results = found.search(wanted.to_query(below))
        root = found.root
    if not quiet:
        if as_json:
            print_json(
                {
                    "root": str(root),
                    "hits": [hits.to_json(hit, lambda path: spelled(root, path)) for hit in results.hits],
                    "pending": {"files": results.pending.files, "chunks": results.pending.chunks},
                    "notes": list(results.notes),
                }
            )
        else:
            _print(results, lambda path: spelled(root, path), names=names, context=wanted.context)
        tell(results)
    return Code.OK if results.hits else Code.ERROR


def _print(results: Results, spell: hits.Spell, *, names: bool, context: int) -> None:
    if names:
        for path in hits.paths(results.hits, spell):
            out(path)
        return
    console = stdout()
    for line in hits.grep(results.hits, context, spell):
        console.print(line, soft_wrap=True)


def tell(results: Results) -> None:
    """What is to be known of results beside themselves, on stderr."""
    for note in filter(None, (*results.notes, hits.waiting(results.pending))):
        say(note)
