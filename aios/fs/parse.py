"""The rule pass: a request as operations, exactly, or not at all. Pure: no model, no disk, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from aios.fs import operations as ops
from aios.fs.grammar import spaced
from aios.fs.operations import FileKind, Operation
from aios.fs.request import Known, ParsedRequest, RequestRefused, Why, mask
from aios.fs.rules import RULES, FormRule
from aios.fs.searches import narrow, search
from aios.fs.slot_parsers import VERBS, Context, NoParse, inside, read

POLITE = re.compile(
    r"(?:(?:please|kindly|hey|hi|hello|ok|okay|so|now|then|and|also|next|just|finally|first|afterwards?|after that|"
    r"(?:could|can|would|will) you|i (?:want|need|would like|'d like)(?: you)? to|i'd like(?: you)? to|let's|let us|"
    r"go ahead and),?\s+)+",
    re.I,
)
THANKS = re.compile(r"(?:,?\s+(?:please|for me|for us|thanks|thank you|now|right now|right away))+$", re.I)
SEPARATOR = re.compile(
    r"\s*(?:[;,.]\s+(?:and\s+)?(?:(?:then|afterwards|after that)\s+)?|\s(?:and|then)\s(?:(?:then|also)\s+)?)", re.I
)
OF_IT = re.compile(r"\bits ((?:[a-z]+ )?(?:history|versions|changes|contents?|summary|size|lock|name))\b", re.I)
OF = re.compile(
    r"(⟦\d+⟧)['\u2019]s ((?:[a-z]+ )?(?:history|versions|changes|contents?|summary|size|lock|name))\b", re.I
)
IT = re.compile(
    r"(?:(?:show|tell|list|give) (?:me |us )?)?(?:what(?:'s)?(?: has| was| is)?(?: been)? (?:changed|different|new)"
    r"|(?:describe|summari[sz]e|show|list)?(?: me)? ?the (?:changes|differences|diff|history))",
    re.I,
)
ALL_OF_IT = re.compile(
    r"(?:delete|remove|erase|rm|wipe|clear|trash|destroy|purge)(?: out)? (?:-rf |-r )?"
    r"(?:everything|all|it all|all (?:of )?(?:the |my )?files|the (?:root|disk|files)|my files|⟦\d+⟧)",
    re.I,
)
UNQUOTED = re.compile(r"(?:write|append|insert) .* (?:to|into|in|at) .*⟦\d+⟧ $", re.I)
EACH = (ops.Read, ops.Move, ops.Copy, ops.Delete, ops.Lock, ops.Unlock, ops.Summarise, ops.Stat, ops.WatchPaths)
"""What can be said of several files at once."""
MOST_STEPS = 20
MOST_CUTS = 30
"""Places where a clause may end; the time to try them grows with their square."""


def parse(text: str, known: Known, now: datetime) -> tuple[Operation, ...] | None:
    """The operations that a request says, or None where the rules do not know it.

    Raises Refused for what is known to be wrong: no such file, a path out of the root, an unclear `it`.
    """
    refused: RequestRefused | None = None
    for bare in (True, False):
        request = mask(text, known, bare=bare)
        try:
            steps = sequence(request.masked, request, Context(known, now))
        except RequestRefused as error:
            refused = refused or error
            continue
        if steps is not None:
            return steps
    if refused is not None:
        raise refused
    return None


def sequence(text: str, request: ParsedRequest, context: Context) -> tuple[Operation, ...] | None:
    """A text as one clause, or as a clause and what follows; the fewest clauses first."""
    refused: RequestRefused | None = None
    try:
        whole = clause(text, request, context)
        if whole is not None:
            return whole
    except RequestRefused as error:
        refused = error
    cuts = list(SEPARATOR.finditer(text))
    for cut in cuts if len(cuts) <= MOST_CUTS else ():
        try:
            first = clause(text[: cut.start()], request, context)
            if first is None:
                continue
            rest = sequence(text[cut.end() :], request, after(context, first))
        except RequestRefused as error:
            refused = refused or error
            continue
        if rest is not None and len(first) + len(rest) <= MOST_STEPS:
            return first + rest
    if refused is not None:
        raise refused
    return None


def clause(text: str, request: ParsedRequest, context: Context) -> tuple[Operation, ...] | None:
    """What one instruction says, or None. Raises Refused."""
    text = normal(text)
    if not text:
        return None
    if ALL_OF_IT.fullmatch(text) and not re.search(r"⟦", text):
        raise RequestRefused(Why.ASK, f"{request.plain(text)!r} names no file; name what is meant, or what it is about")
    text = spaced(text)
    if UNQUOTED.match(text) and not any(mark.quoted for mark in request.marks):
        raise RequestRefused(Why.ASK, "put what is to be written in quotes, as in: add 'buy milk' to todo.txt")
    refused: RequestRefused | None = None
    for rule in RULES:
        if found := rule.pattern.fullmatch(text):
            try:
                return tuple(_built(rule, found, request, context))
            except NoParse:
                continue
            except RequestRefused as error:
                refused = refused or error
    if refused is not None:
        raise refused
    found_search = search(text, request, context)
    return (found_search,) if found_search else None


def normal(text: str) -> str:
    """A clause without what says nothing; `its history` becomes `history of it`."""
    text = " ".join(text.split()).strip(" .!?;,")
    if lead := POLITE.match(text):
        text = text[lead.end() :]
    text = THANKS.sub("", text).strip(" .!?;,")
    text = OF.sub(r"\2 of \1", OF_IT.sub(r"\1 of it", text))
    return f"{text} {'of' if text.endswith('history') else 'in'} it" if IT.fullmatch(text) else text


def after(context: Context, steps: tuple[Operation, ...]) -> Context:
    """What is known once the steps are done."""
    new, gone, last = dict(context.made), set(context.gone), context.last
    for step in steps:
        last = None
        match step:
            case ops.Move(path=path, target=target):
                new[target] = context.made.get(path) or context.known.kinds.get(path, "file")
                new.pop(path, None)
                gone.add(path)
                gone.discard(target)
                last = target
            case ops.Copy(target=target):
                new[target] = "file"
                gone.discard(target)
            case ops.Delete(path=path):
                new.pop(path, None)
                gone.add(path)
                last = path
            case ops.Create(path=path, kind=kind):
                new[path] = kind
                gone.discard(path)
                last = path
            case ops.Write(path=path) | ops.Rollback(path=path):
                new[path] = "file"
                gone.discard(path)
                last = path
            case ops.Tag(paths=(path,)):
                last = path
            case _:
                last = getattr(step, "path", None)
    return replace(context, made=new, gone=gone, last=last if len(steps) == 1 else None)


def _built(rule: FormRule, found: re.Match[str], request: ParsedRequest, context: Context) -> Iterator[Operation]:
    kinds = rule.operation.kinds()
    values: dict[str, Any] = dict(rule.given)
    many: list[str] = []
    for name, piece in found.groupdict().items():
        if piece is None:
            continue
        if name in ("path", "paths") and len(marks := re.findall(r"⟦\d+⟧", piece)) > 1:
            many = [str(read(FileKind.PATH, mark, request, context)) for mark in marks]
        elif name not in kinds:
            values[name] = _word(piece)
        else:
            values[name] = read(kinds[name], piece, request, context, end=name not in rule.start)
    if rule.operation is ops.Tag:
        values["paths"] = tuple(many) or ((values["paths"],) if "paths" in values else ())
        many = []
    if (
        rule.operation in (ops.DeleteWhatMatches, ops.Replace)
        and "query" in values
        and narrow(spaced(found["query"]), request, context)[1]
    ):
        raise RequestRefused(
            Why.ASK, "what is changed by subject cannot be narrowed by time or author; search for it first"
        )
    if many and rule.operation not in EACH:
        raise NoParse
    for more in [{"path": path} for path in many] or [{}]:
        yield made(rule.operation, found[0], values | more, context, many=bool(many))


def _word(piece: str) -> str:
    """A word that a form offers a choice of, as the operation calls it."""
    return {"subject": "topic", "date": "time", "month": "time"}.get(piece.lower(), piece.lower())


def made(
    operation: type[Operation], said: str, values: dict[str, Any], context: Context, many: bool = False
) -> Operation:
    """The operation with these values; a target that is a folder takes the file's own name.

    Raises Refused where something is in the way already, or the folder is not there.
    """
    if "target" in values:
        target, path = str(values["target"]), str(values["path"])
        folder = context.directory(target)
        if not folder and (many or re.search(r"\b(?:into|folder|directory)\b", said, re.I)):
            raise RequestRefused(
                Why.NO_FILE, f"there is no folder {target}; make it first: aios fs 'make a folder {target}'"
            )
        if folder:
            values = values | {"target": inside(f"{target}/{path.rpartition('/')[2]}".removeprefix("./"))}
        if context.there(values["target"]):
            raise RequestRefused(
                Why.ASK, f"{values['target']} is there already; name another place, or delete it first"
            )
    if operation is ops.Rollback and re.match(r"\w+(?: back)? ⟦\d+⟧ $", said) and context.there(values["path"]):
        raise RequestRefused(Why.ASK, f"{values['path']} is there; say to what version or time it is to go back")
    if operation is ops.Create and context.there(values["path"]):
        raise RequestRefused(Why.ASK, f"{values['path']} is there already; to replace it say: overwrite it with a text")
    try:
        return operation.model_validate(values | {"op": operation.model_fields["op"].default})
    except ValidationError as error:
        raise RequestRefused(Why.ASK, f"this cannot be: {error.errors(include_url=False)[0]['msg']}") from None


def pieces(text: str) -> list[str]:
    """A masked request cut where a further instruction seems to begin."""
    cuts = [cut for cut in SEPARATOR.finditer(text) if re.match(rf"(?:{VERBS})\b", normal(text[cut.end() :]), re.I)]
    edges = [0, *(cut.end() for cut in cuts)]
    ends = [*(cut.start() for cut in cuts), len(text)]
    return [text[first:last] for first, last in zip(edges, ends, strict=True)]
