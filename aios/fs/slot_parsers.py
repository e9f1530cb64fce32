"""From a piece of a request to the value of a field, or a refusal that says what is wrong with the piece."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from aios.fs.dates import duration, moment, number, span
from aios.fs.operations import At, FileKind
from aios.fs.request import OUTSIDE, Known, Mark, ParsedRequest, RequestRefused, Why, tidy
from aios_syscalls import BadRequest

PRONOUNS = r"it|this|that|(?:this|that|the|the same) file"
MARK = re.compile(r"⟦(\d+)⟧")
TYPES = {
    **{"markdown": ("md",), "python": ("py",), "text": ("txt",), "csv": ("csv",), "pdf": ("pdf",), "json": ("json",)},
    **{"html": ("html",), "word": ("docx",), "notebook": ("ipynb",), "yaml": ("yaml", "yml"), "toml": ("toml",)},
}


class NoParse(Exception):
    """The piece is none of this kind, so the rule does not apply."""


@dataclass
class Context:
    """What is known where a clause is read: the root, the time, and what the clauses before did."""

    known: Known
    now: datetime
    made: dict[str, str] = field(default_factory=dict)
    """Paths that the steps before make, each `file` or `directory`."""
    gone: set[str] = field(default_factory=set)
    last: str | None = None
    """What `it` is, or None where it could be several things."""

    def there(self, path: str) -> bool:
        return path == "." or path in self.made or (path in self.known.kinds and path not in self.gone)

    def directory(self, path: str) -> bool:
        return path == "." or (self.made.get(path) or self.known.kinds.get(path)) == "directory"


def path_of(piece: str, request: ParsedRequest, context: Context) -> str:
    """The path that a mark or a pronoun stands for; within the root, but not necessarily there."""
    found = MARK.fullmatch(piece.strip())
    if found:
        return inside(request.marks[int(found[1])].text)
    if re.fullmatch(PRONOUNS, piece.strip(), re.I):
        if context.last is None:
            raise RequestRefused(Why.ASK, f"it is not clear what {piece.strip()!r} is; name the file")
        return context.last
    raise NoParse


def inside(path: str) -> str:
    """Raises Refused for what leads out of the root."""
    path = path.strip()
    if OUTSIDE.fullmatch(path) or ".." in path.split("/"):
        raise RequestRefused(
            Why.OUTSIDE, f"{path} is not below the root; name a path from there, such as notes/today.md"
        )
    if not path or "\0" in path or "\n" in path:
        raise RequestRefused(Why.ASK, f"{path!r} is no name for a file; name one")
    return tidy(path) or "."


def existing(path: str, context: Context, past: bool = False) -> str:
    """The path, if it is there, or was. Raises Refused with what may have been meant."""
    if context.there(path) or (past and (path in context.known.past or path in context.gone)):
        return path
    near = [each for each in context.known.near(path) if context.there(each)]
    hint = f"did you mean {' or '.join(near)}?" if near else "aios fs 'list the files' shows what there is"
    gone = "an earlier step removes it" if path in context.gone else f"there is no {path}"
    raise RequestRefused(Why.NO_FILE, f"{gone}; {hint}")


def read(kind: FileKind, piece: str, request: ParsedRequest, context: Context, end: bool = True) -> object:
    """The value of a field of this kind; a day stands for its `end` or its start. Raises Unread or Refused."""
    match kind:
        case FileKind.PATH:
            return existing(path_of(piece, request, context), context)
        case FileKind.PAST:
            return existing(path_of(piece, request, context), context, past=True)
        case FileKind.FOLDER:
            path = path_of(piece, request, context)
            return path if "*" in path else existing(path, context)
        case FileKind.NEW:
            if re.fullmatch(r"[\w.-]+", piece):
                return inside(piece)
            return path_of(piece, request, context)
        case FileKind.AT:
            return version(request.plain(piece), context.now, end)
        case FileKind.TIME:
            return time_of(request.plain(piece), context.now)
        case FileKind.SECONDS:
            length = duration(piece)
            if length is None:
                raise NoParse
            return int(length.total_seconds())
        case FileKind.QUERY:
            return query(piece, request)
        case FileKind.TEXT:
            return _quoted(piece, request).text
        case FileKind.NAME:
            return _name(piece, request)


_ONE = r"(?:version|state|one|revision|edition)"
_LEAD = re.compile(
    r"(?:back |again )?(?:to |at |as of |from |in |of |on )?"
    r"(?:(?:how|what|as|the way) it (?:was|looked|stood)(?: like)?(?: in| at| on| as of)? "
    rf"|(?:the |its |that )?{_ONE} (?:of|from|on|at|as of|it had|that it had|was) (?!before))?(?:in |at |on )?",
    re.I,
)
_WORDS: tuple[tuple[str, int], ...] = (
    (rf"(?:the |its )?(?:very )?(?:first|original|initial|oldest)(?: {_ONE})?", 1),
    (rf"(?:the |its |my )?(?:previous|prior|preceding) {_ONE}", -1),
    (rf"(?:the )?{_ONE} (?:just |right )?before(?: it| that| this| the last(?: one| change)?| the current one)?", -1),
    (r"(?:how it was )?before (?:the|its|my) (?:last|latest) (?:change|edit|write)", -1),
    (r"before", -1),
)


def version(piece: str, now: datetime, end: bool = True) -> At:
    """A version's number, counted back from the present one when negative; a tag; or the `end` or start of a time.

    Raises Unread for none of these, Refused for a time that cannot be meant.
    """
    said = piece.strip().lower().rstrip(".?!")
    if re.fullmatch(rf"(?:to )?(?:the |its )?(?:last|latest|newest|current) {_ONE}", said):
        raise RequestRefused(
            Why.ASK, f"{said!r} is the present one, or the one before? Say: the previous version, or a number"
        )
    for words in (said, _LEAD.sub("", said, count=1)):
        if found := re.fullmatch(r"(?:the )?(?:version|revision|v|#)(?: number| no\.?)? ?#?(\d{1,6})", words):
            return int(found[1])
        if found := re.fullmatch(r"(?:the )?(\d{1,6})(?:st|nd|rd|th) (?:version|revision)", words):
            return int(found[1])
        for pattern, value in _WORDS:
            if re.fullmatch(pattern, words):
                return value
        if (found := re.fullmatch(r"(?:the )?version (\w+)", words)) and (count := number(found[1])) is not None:
            return count
        counted = re.fullmatch(r"(.+?) (?:version|revision|change|edit)s?(?: (?:ago|back|earlier|before))?", words)
        if counted and (count := number(counted[1])) is not None:
            return -count
        if re.fullmatch(r"(?:the )?(?:tag|version tagged|state tagged) (?:as )?\"?([\w.-]+)\"?", words):
            return re.split(r"[\s\"]+", piece.strip(' ".?!'))[-1]  # as it was written
    if re.fullmatch(r"\d{1,3}", said):
        return int(said)
    if found := re.fullmatch(rf"(?:the )?(.+?)['\u2019]s {_ONE}", said):
        return time_of(found[1], now, end)
    ago = " ago" if duration(said) or re.fullmatch(r"\w+ (?:month|year)s?", said) else ""
    return time_of(_LEAD.sub("", said, count=1) + ago, now, end)


def time_of(piece: str, now: datetime, end: bool = False) -> datetime:
    try:
        return moment(piece, now, end)
    except BadRequest as error:
        if "no time that can be read" in error.message:
            raise NoParse from None
        raise RequestRefused(Why.ASK, error.message) from None


def period(piece: str, now: datetime) -> tuple[datetime, datetime]:
    """As a time, from its first to its last instant."""
    start = time_of(piece, now)
    return start, span(piece, now).end


VERBS = (
    "open|show|read|cat|print|display|view|list|ls|create|make|mkdir|touch|write|overwrite|replace|append|add|put|move|"
    "mv|rename|copy|cp|duplicate|delete|remove|erase|rm|find|search|look|history|diff|compare|describe|explain|roll|"
    "restore|revert|undo|tag|label|mark|group|sort|link|save|unlink|lock|unlock|release|share|watch|tell|summarise|"
    "summarize|give|bring|take|throw|drop|keep|set|reset|turn|go"
)
"""First words of a further instruction."""
_ACTS = r"\band|\bthen|,|;|\."


def query(piece: str, request: ParsedRequest) -> str:
    """What is looked for, without an article before it. Raises Unread where a further instruction seems to follow."""
    if re.search(rf"(?:{_ACTS})\s+(?:(?:then|also|please)\s+)*(?:{VERBS})\b", piece, re.I):
        raise NoParse
    said = re.sub(r"^(?:the|a|an|any|all|my|our)\s+", "", piece.strip(), flags=re.I).rstrip(".?!, ")
    said = re.sub(r" ([,:]) ", r"\1 ", said)
    # To find out is not to find, and what begins like a condition was meant as one.
    if not said or re.match(r"(?:out|by|since|before|from|changed|written|modified)\b", said, re.I):
        raise NoParse
    return request.plain(said)


def _quoted(piece: str, request: ParsedRequest) -> Mark:
    found = MARK.fullmatch(piece.strip())
    if not found or not request.marks[int(found[1])].quoted:
        raise NoParse
    return request.marks[int(found[1])]


def _name(piece: str, request: ParsedRequest) -> str:
    found = MARK.fullmatch(piece.strip())
    said = request.marks[int(found[1])].text if found else piece.strip().rstrip(".?!")
    if not re.fullmatch(r"[\w][\w.-]*", said):
        raise NoParse
    return said
