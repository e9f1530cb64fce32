"""Searches in plain words: what is looked for, and behind or before it by whom, when, where and in what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aios.sdk.files.operations import Kind, Operation, Search
from aios.sdk.files.readers import TYPES, Context, Unread, period, query, read, time_of
from aios.sdk.files.request import Request
from aios.sdk.files.rules import ABOUT, AFTER, ALL, FILE, THING

_WROTE = r"(?:changed?|modified|modify|written|wrote|write|edited|edit|updated|update|made|make|created|create|touched|touch)"
_THAT = r"(?:,? (?:that|which)(?: (?:were|was|are|is|have been|has been))?)?"
_TYPE = "|".join(TYPES)
_HEADS = tuple(
    re.compile(head, re.I)
    for head in (
        rf"(?:find|search(?: for)?|look(?:ing)? (?:for|up)|locate|grep(?: for)?|hunt for|dig up|show|list|get)(?: me| us)? {ALL}(?P<type>{_TYPE})? ?{THING} (?:{ABOUT} )?(?P<rest>.+)",
        rf"(?:find|search(?: for)?|look (?:for|up)|locate|hunt for|dig up)(?: me| us)? {ALL}(?:(?:we|i) have )?{ABOUT} (?P<rest>.+)",
        r"(?:find|search(?: for)?|look(?:ing)? (?:for|up)|locate|grep(?: for)?|hunt for|dig up)(?: me| us)? (?P<rest>.+)",
        rf"(?:which|what) (?:of (?:the|my) )?(?P<type>{_TYPE})? ?{THING} (?:{ABOUT}|(?:is|are)? ?(?:about|mention(?:s|ing)?|talk about|deal with|contain|say)|do i have (?:about|on)|(?=(?:were|was|have|has|did|changed|{_WROTE})\b)) ?(?P<rest>.+)",
        rf"{ALL}(?P<type>{_TYPE})? ?{THING} {ABOUT} (?P<rest>.+)",
        r"where (?:is|are|do (?:i|we) have) (?P<rest>.+)",
        rf"(?:which|what) {THING} (?P<rest>.+)",
    )
)
_NONE = re.compile(rf"(?:{ALL}{THING}|(?:that|which)? ?(?:were|was|have been|has been)?)", re.I)
_FILTERS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"(?P<head>.*?)(?:^|\s){tail}", re.I))
    for name, tail in (
        ("did", rf"(?:did|has|have) (?:the )?agent (?P<agent>[\w.-]+) {_WROTE}(?P<left>(?: .+)?)"),
        ("agent", rf"{_THAT} ?(?:{_WROTE} )?by (?:the )?agent (?P<agent>[\w.-]+)"),
        ("since", rf"{_THAT} ?(?:{_WROTE} |from )?since (?P<since>.+)"),
        ("before", rf"{_THAT} ?(?:{_WROTE} |from )?before (?P<before>.+)"),
        ("between", rf"{_THAT} ?(?:{_WROTE} |from )?between (?P<first>.+) and (?P<last>.+)"),
        ("period", rf"{_THAT} ?(?:{_WROTE}(?: on| in)?|from|during) (?P<period>.+)"),
        ("period", r"(?P<period>yesterday|today|(?:last|this) (?:week|month|year|night|morning))"),
        ("within", rf"(?:in|under|below|inside|within) {FILE}(?P<within>⟦\d+⟧){AFTER}"),
        ("types", rf"(?:in|among|of) {ALL}(?P<types>{_TYPE}) files?"),
    )
)


def search(clause: str, request: Request, context: Context) -> Operation | None:
    """The search that a clause is, if it is one. Raises Refused for a filter that cannot be meant."""
    for head in _HEADS:
        if found := head.fullmatch(clause):
            given: dict[str, Any] = {}
            if found.groupdict().get("type"):
                given["types"] = TYPES[found["type"].lower()]
            rest, more = narrow(found["rest"].strip(), request, context)
            given |= more
            try:
                words = "" if given and (not rest or _NONE.fullmatch(rest)) else query(rest, request)
            except Unread:
                continue
            return Search(query=words, **given)
    return None


def narrow(rest: str, request: Request, context: Context) -> tuple[str, Mapping[str, Any]]:
    """Take filters off the end of a query, each at most once; what cannot be read as one stays in it."""
    given: dict[str, Any] = {}
    while True:
        for name, pattern in _FILTERS:
            found = pattern.fullmatch(rest)
            try:
                values = _values(name, found, request, context) if found else {}
            except Unread:
                continue
            if found and values and not values.keys() & given.keys():
                given |= values
                rest = f"{found['head']}{found.groupdict().get('left') or ''}".strip(" ,")
                break
        else:
            return rest, given


def _values(name: str, found: re.Match[str], request: Request, context: Context) -> dict[str, Any]:
    now = context.now

    def said(group: str) -> str:
        return request.plain(found[group])

    match name:
        case "did" | "agent":
            return {"agent": found["agent"]}
        case "since":
            return {"since": time_of(said("since"), now)}
        case "before":
            return {"until": time_of(said("before"), now) - timedelta(microseconds=1)}
        case "between":
            return {"since": time_of(said("first"), now), "until": time_of(said("last"), now, end=True)}
        case "period":
            since, until = period(said("period"), now)
            return {"since": since, "until": until}
        case "within":
            return {"within": read(Kind.FOLDER, found["within"], request, context)}
        case _:
            return {"types": TYPES[found["types"].lower()]}
