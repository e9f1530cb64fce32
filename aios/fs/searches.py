"""Searches in plain words: what is looked for, and behind or before it by whom, when, where and in what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aios.fs.grammar import form
from aios.fs.operations import FileKind, Operation, SearchText
from aios.fs.request import ParsedRequest
from aios.fs.slot_parsers import TYPES, Context, NoParse, period, query, read, time_of

_LOOK = "(find | search [for] | look (for | up) | looking for | locate | grep [for] | hunt for | dig up) [me | us]"
_WROTE = (
    "(change | changed | modified | modify | written | wrote | write | edited | edit | updated | update | made | make"
    " | created | create | touched | touch)"
)
_ARE = "[that | which] [were | was | are | is | have been | has been]"
_ABOUT = "(<about> | (is | are) about | mention | mentions | talk about | contain | say | do (i | we) have <about>)"
_HEADS = tuple(
    re.compile(form(head).pattern + "(?P<rest>.*)", re.I)
    for head in (
        f"{_LOOK} <all> [[{{type}}] <thing>] [{_ABOUT}]",
        f"(which | what | (show | list | get) [me | us]) <all> [{{type}}] <thing> [{_ABOUT}]",
        "<all> [{type}] <thing> <about>",
        "(where is | where are | where do (i | we) have)",
    )
)
_IN = form("(search | look | grep) [<in>] {within} for {query}", SearchText)
_FILTERS: Mapping[str, tuple[re.Pattern[str], ...]] = {
    name: tuple(re.compile(rf"(?P<head>(?:.*? )??)(?:{form(tail, SearchText).pattern})", re.I) for tail in tails)
    for name, tails in {
        "agent": (
            f"{_ARE} [{_WROTE}] by [the] agent {{agent}}",
            f"(did | has | have) [the] agent {{agent}} [{_WROTE}]",
        ),
        "since": (f"{_ARE} [{_WROTE} | from] since {{since}}",),
        "before": (f"{_ARE} [{_WROTE} | from] before {{before}}",),
        "between": (f"{_ARE} [{_WROTE} | from] between {{first}} and {{last}}",),
        "period": (f"{_ARE} ({_WROTE} [on | in] | from | during) {{period}}", "{today}"),
        "within": ("(in | under | below | inside | within) {within}",),
        "types": ("(in | among | of) <all> {type} (file | files)",),
    }.items()
}


def search(clause: str, request: ParsedRequest, context: Context) -> Operation | None:
    """The search that a clause is, if it is one. Raises Refused for a filter that cannot be meant."""
    if found := _IN.fullmatch(clause):
        try:
            return SearchText(
                query=query(found["query"], request),
                within=str(read(FileKind.FOLDER, found["within"], request, context)),
            )
        except NoParse:
            return None
    for head in _HEADS:
        if found := head.fullmatch(clause):
            given: dict[str, Any] = {}
            if said := found.groupdict().get("type"):
                given["types"] = TYPES[said.lower()]
            rest, more = narrow(found["rest"], request, context)
            given |= more
            try:
                words = "" if given and not rest.strip() else query(rest, request)
            except NoParse:
                continue
            return SearchText(query=words, **given)
    return None


def narrow(rest: str, request: ParsedRequest, context: Context) -> tuple[str, Mapping[str, Any]]:
    """Take filters off the end of a query, each at most once; what cannot be read as one stays in it."""
    given: dict[str, Any] = {}
    while found := _last_filter(rest, request, context, given):
        rest, values = found
        given |= values
    return rest, given


def _last_filter(
    rest: str, request: ParsedRequest, context: Context, given: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]] | None:
    for name, patterns in _FILTERS.items():
        for pattern in patterns:
            if found := pattern.fullmatch(rest):
                try:
                    values = _values(name, found, request, context)
                except NoParse:
                    continue
                if not values.keys() & given.keys():
                    return found["head"], values
    return None


def _values(name: str, found: re.Match[str], request: ParsedRequest, context: Context) -> dict[str, Any]:
    now = context.now
    said = {group: request.plain(piece) for group, piece in found.groupdict().items() if piece}
    match name:
        case "agent":
            return {"agent": said["agent"]}
        case "since":
            return {"since": time_of(said["since"], now)}
        case "before":
            return {"until": time_of(said["before"], now) - timedelta(microseconds=1)}
        case "between":
            return {"since": time_of(said["first"], now), "until": time_of(said["last"], now, end=True)}
        case "period":
            since, until = period(said.get("period") or said["today"], now)
            return {"since": since, "until": until}
        case "within":
            return {"within": read(FileKind.FOLDER, found["within"], request, context)}
        case _:
            return {"types": TYPES[said["type"].lower()]}
