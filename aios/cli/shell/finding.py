"""Lines that search."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from rich.text import Text

from aios.cli.files import results as shown
from aios.cli.files import when as moments
from aios.cli.shell.answer import CitedPassage, evidence
from aios.cli.shell.ask import ROOM
from aios.cli.shell.names import NotACommand, Words, directory, existing
from aios.cli.shell.session import PAGE, ShellScope, ShellSession
from aios.terminal.exit import Code
from aios.terminal.output import clean, say
from aios_storage import Filters, Hit, Query, Results
from aios_syscalls.errors import BadRequest

MOST_PASSAGES = 5
NEAR = 0.4
"""Of the best one's score, that a passage needs to be read to the model."""


def search(session: ShellSession, text: str) -> Code:
    return _show(session, 0, session.look(Query(text=text, filters=filters(session), limit=PAGE)))


def filters(session: ShellSession) -> Filters:
    """What limits every search: the directory that we are in, and what was said by `in` and `since`."""
    below = session.scope.directory or session.directory
    return Filters(within=None if below == "." else (below,), since=session.scope.since)


def more(session: ShellSession, _: Words) -> Code:
    return _show(session, *session.further())


def like(session: ShellSession, words: Words) -> Code:
    path = existing(session, words[0])
    results = session.library.like(path, filters=filters(session), limit=PAGE)
    session.query, session.hits = None, list(results.hits)
    return _show(session, 0, results)


def _passage(session: ShellSession, hit: Hit, room: int) -> CitedPassage:
    """The piece that was found with what is around it in the file, up to `room` bytes."""
    spare = max(0, room - (hit.end - hit.start))
    start = max(0, hit.start - spare // 2)
    wide = replace(hit, start=start, end=hit.end + spare - (hit.start - start))
    text = session.library.passage(wide)
    line = session.library.passage(replace(hit, start=0, end=start)).count("\n") + 1
    if start and "\n" in text:  # the first line is a part of one
        text, line = text.partition("\n")[2], line + 1
    return CitedPassage(hit.path, line, text)


def _show(session: ShellSession, known: int, results: Results) -> Code:
    console = session.console
    for line in shown.numbered(results.hits, known + 1, session.spelled):
        # A person sees a line of the screen a result; a program gets all of it.
        if session.interactive:
            console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            console.print(line, soft_wrap=True)
    notes = [*results.notes, shown.waiting(results.pending)]
    if not results.hits:
        where = f" {session.scope.words} (`in` and `since` alone take that back)" if session.scope.words else ""
        notes.insert(0, f"nothing {'more ' if known else ''}found{where}")
    for note in filter(None, notes):
        say(note)
    return Code.OK if results.hits else Code.ERROR


def within(session: ShellSession, words: Words) -> Code:
    """`in`: one search there when words follow, else every search from now on, and the last one again."""
    if not words:
        session.scope = replace(session.scope, directory="")
        return Code.OK
    below = directory(session, words[0])
    return _scoped(session, replace(session.scope, directory="" if below == "." else below), words[1:])


def since(session: ShellSession, words: Words) -> Code:
    if not words:
        session.scope = replace(session.scope, since=None, when="")
        return Code.OK
    # The longest beginning that is a time: "last week" before "last".
    for count in range(len(words), 0, -1):
        when = " ".join(words[:count])
        with suppress(BadRequest):
            return _scoped(session, replace(session.scope, since=moments.since(when), when=when), words[count:])
    raise NotACommand(f"{words[0]} is no time, such as yesterday, last tuesday, 2 days ago or 2026-01-31")


def _scoped(session: ShellSession, scope: ShellScope, words: Words) -> Code:
    before, session.scope = session.scope, scope
    if words:
        try:
            return search(session, " ".join(words))
        finally:
            session.scope = before
    if session.query is not None:
        return search(session, session.query.text)
    return Code.OK


def ask(session: ShellSession, question: str) -> Code:
    """Let the model answer from the best passages, which become the numbered results."""
    results = session.look(Query(text=question, filters=filters(session), limit=MOST_PASSAGES))
    if not results.hits:
        return _show(session, 0, results)
    # What is much worse than the best is another subject, and would mislead a small model.
    near = [hit for hit in results.hits if hit.score >= NEAR * results.hits[0].score]
    passages = [_passage(session, hit, ROOM // len(near)) for hit in near]
    answer = session.asker.ask(question, passages)
    console = session.console
    console.print(Text(clean(answer.text)))
    for doubt in answer.doubts:
        console.print(Text(f"! {clean(doubt)}", style="yellow"))
    console.print(Text(f"sources, read by {answer.model}:", style="dim"))
    session.hits = []
    for number, (hit, passage) in enumerate(zip(near, answer.passages, strict=False), 1):
        said = " ".join(claim.text for claim in answer.claims if number in claim.cites) or question
        line, text = evidence(passage, said)
        session.hits.append(replace(hit, at=line, best=line, snippet=text, marks=()))
    return _show(session, 0, replace(results, hits=tuple(session.hits)))
