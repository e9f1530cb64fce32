"""From a request in plain words to a plan: rules first, then a model, and an honest no where neither will do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Literal

from aios.fs.model_parse import guess
from aios.fs.operations import OPERATIONS, Operation, OperationPlan
from aios.fs.parse import after, clause, parse, pieces
from aios.fs.request import Known, ParsedRequest, RequestRefused, Why, candidates, mask
from aios.fs.slot_parsers import Context
from aios.fs.slots import SlotCandidates
from aios.sdk import Agent, gather
from aios_syscalls import AiosError, CallerError, ListVersions

LONGEST_REQUEST = 2000
"""Characters."""
MOST_WORDS = 400
MOST_PATHS = 20_000
CUES = re.compile(
    r"⟦|\b(?:files?|folders?|director(?:y|ies)|documents?|docs?|notes?|versions?|history|tags?|undo|search|find|drafts?|"
    r"agent|run|look for|lock|group)\b",
    re.I,
)
"""Without any of these a request is not about files, whatever a model makes of it."""


async def plan(
    agent: Agent, text: str, now: datetime, *, use_model: bool = True, model: str | None = None
) -> OperationPlan:
    """What the request asks for; nothing is run.

    Raises Refused, whose message says why there is no plan and what to say instead.
    """
    text = " ".join(text.split())
    if not text or len(text) > LONGEST_REQUEST:
        raise RequestRefused(Why.ASK, f"say what to do in 1 to {LONGEST_REQUEST} characters; for example: {examples()}")
    known = await survey(agent, text)
    steps = parse(text, known, now)
    if steps is not None:
        return OperationPlan.model_validate({"request": text, "steps": steps})
    request = mask(text, known)
    if not CUES.search(request.masked):
        raise RequestRefused(Why.NOT_FILES, f"that is not about files; what can be asked for: {examples()}")
    if not use_model:
        raise RequestRefused(
            Why.UNREAD, f"{unread(text)}.{await meant(agent, text)} What can be asked for: {examples()}"
        )
    return await modelled(agent, request, known, now, model)


async def modelled(
    agent: Agent, request: ParsedRequest, known: Known, now: datetime, model: str | None
) -> OperationPlan:
    """The plan where clauses that no rule reads are read by the model. Raises Refused."""
    context = Context(known, now)
    steps: list[Operation] = []
    for piece in pieces(request.masked):
        found = clause(piece, request, context)
        if found is None:
            offer = SlotCandidates(piece, request, context)
            try:
                reading = await guess(agent, offer, model)
            except CallerError as error:
                raise RequestRefused(
                    Why.UNTRUSTED, f"{unread(offer.text)}, and the model cannot: {error.message}"
                ) from None
            except AiosError as error:
                said = f"{unread(offer.text)}, and there is no model to ask: {error.message}"
                raise RequestRefused(Why.UNTRUSTED, said) from error
            if reading.why or reading.operation is None:
                hint = await meant(agent, offer.text)
                said = f"{unread(offer.text)}, and {reading.why}.{hint} Nearest: {examples(reading.nearest)}"
                raise RequestRefused(Why.UNTRUSTED, said)
            found = (reading.operation,)
        steps += found
        context = after(context, found)
    return OperationPlan.model_validate({"request": request.plain(request.masked), "steps": steps, "sure": False})


def unread(text: str) -> str:
    return f"no rule reads {text!r}"


def examples(names: Iterable[str] = ("search", "show", "diff", "rollback")) -> str:
    """Operations as they can be asked for."""
    return "; ".join(f"{name} ({OPERATIONS[name].example})" for name in names) or "none"


async def meant(agent: Agent, text: str) -> str:
    """Files that words of a request may stand for, as a hint: `the report` is no name, report.md is."""
    words = {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 3}
    try:
        entries = await agent.list(recursive=True)
    except AiosError:
        return ""
    stems = [entry.path for entry in entries[:MOST_PATHS] if entry.kind == "file" and _stem(entry.path) in words]
    named = [path for path in stems if path not in text]
    return f" Did you mean {' or '.join(named[:3])}? Name files in full." if named else ""


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].casefold()


async def survey(agent: Agent, text: str) -> Known:
    """Which words of a request are paths, or once were.

    Where a name is neither, the paths of a root that is not too large are learnt too, for a hint at what was meant.
    """
    words = list(dict.fromkeys(each for each in candidates(text) if each and ".." not in each.split("/")))[:MOST_WORDS]
    try:
        # A name without a slash can only be one of these: so most requests cost one call, not one for each word.
        top = {entry.path: entry.kind for entry in await agent.list()}
        kinds = {word: top[word] for word in words if word in top}
        deep = [word for word in words if "/" in word]
    except AiosError:
        kinds, deep = {}, words
    kinds |= {path: kind for path, kind in await gather(*(_look(agent, word) for word in deep)) if kind}
    lost = [word for word in words if word not in kinds and "." in word and " " not in word]
    past = {word for word in lost if await _was(agent, word)}
    if set(lost) - past:
        with suppress(AiosError):
            entries = await agent.list(recursive=True)
            kinds |= {entry.path: entry.kind for entry in entries[:MOST_PATHS]}
    return Known(kinds, frozenset(past))


async def _look(agent: Agent, path: str) -> tuple[str, Literal["file", "directory"] | None]:
    try:
        return path, (await agent.stat(path)).kind
    except AiosError:
        return path, None


async def _was(agent: Agent, path: str) -> bool:
    """Whether a path has a history; a root that keeps none says so in another error, which is a no as well."""
    try:
        return bool((await agent.port.submit(ListVersions(path=path, limit=1))).versions)
    except AiosError:
        return False
