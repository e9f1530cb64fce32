"""What each kind of line does."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from rich.text import Text

from aios.cli import hits as shown
from aios.cli import moments, versions
from aios.cli.exit import Code
from aios.cli.output import clean, size
from aios.cli.table import grid
from aios.shell.answer import Passage
from aios.shell.line import Ask, Command, Line, Nothing, Run, Search
from aios.shell.session import PAGE, Scope, Session
from aios.shell.verbs import OTHERS, VERBS
from aios_storage import At
from aios_storage.search import Filters, Query, Results
from aios_syscalls.errors import AiosError, BadRequest, Conflict, NotFound

MOST_PASSAGES = 5
NEAR = 0.4
"""Of the best one's score, that a passage needs to be read to the model."""

Words = tuple[str, ...]
Do = Callable[[Session, Words], Code]


class Quit(Exception):
    """The user wants to leave."""


class Elsewise(Exception):
    """The words after a verb name nothing, so that the line may be a sentence."""


def obey(session: Session, line: Line) -> Code:
    """Do what a line says. Raises AiosError where that cannot be done, Quit when it is to leave."""
    match line:
        case Nothing():
            return Code.OK
        case Search(text):
            return search(session, text)
        case Ask(question):
            return ask(session, question)
        case Run(command):
            return run(session, command)
        case Command(verb, words, whole):
            try:
                return DO[verb](session, words)
            except Elsewise as reason:
                if not VERBS[verb].searches or len(words) < 2:
                    raise NotFound(f"{reason}; to look for these words: search {whole}") from None
                print(f"aios: {reason}: searching for these words", file=sys.stderr)
                return search(session, whole)


# -- searching


def search(session: Session, text: str) -> Code:
    return _show(session, 0, session.look(Query(text=text, filters=filters(session), limit=PAGE)))


def filters(session: Session) -> Filters:
    """What limits every search: the directory that we are in, and what was said by `in` and `since`."""
    below = session.scope.directory or session.directory
    return Filters(within=None if below == "." else (below,), since=session.scope.since)


def more(session: Session, _: Words) -> Code:
    return _show(session, *session.further())


def like(session: Session, words: Words) -> Code:
    path = _existing(session, words[0])
    results = session.library.like(path, filters=filters(session), limit=PAGE)
    session.query, session.hits = None, list(results.hits)
    return _show(session, 0, results)


def _show(session: Session, known: int, results: Results) -> Code:
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
        print(f"aios: {clean(note)}", file=sys.stderr, flush=True)
    return Code.OK if results.hits else Code.ERROR


def within(session: Session, words: Words) -> Code:
    """`in`: one search there when words follow, else every search from now on, and the last one again."""
    if not words:
        session.scope = replace(session.scope, directory="")
        return Code.OK
    directory = _directory(session, words[0])
    return _scoped(session, replace(session.scope, directory="" if directory == "." else directory), words[1:])


def since(session: Session, words: Words) -> Code:
    if not words:
        session.scope = replace(session.scope, since=None, when="")
        return Code.OK
    # The longest beginning that is a time: "last week" before "last".
    for count in range(len(words), 0, -1):
        when = " ".join(words[:count])
        with suppress(BadRequest):
            return _scoped(session, replace(session.scope, since=moments.since(when), when=when), words[count:])
    raise Elsewise(f"{words[0]} is no time, such as yesterday, last tuesday, 2 days ago or 2026-01-31")


def _scoped(session: Session, scope: Scope, words: Words) -> Code:
    before, session.scope = session.scope, scope
    if words:
        try:
            return search(session, " ".join(words))
        finally:
            session.scope = before
    if session.query is not None:
        return search(session, session.query.text)
    return Code.OK


def ask(session: Session, question: str) -> Code:
    """Let the model answer from the best passages, which become the numbered results."""
    results = session.look(Query(text=question, filters=filters(session), limit=MOST_PASSAGES))
    if not results.hits:
        return _show(session, 0, results)
    # What is much worse than the best is another subject, and would mislead a small model.
    near = [hit for hit in results.hits if hit.score >= NEAR * results.hits[0].score]
    passages = [Passage(hit.path, hit.best, session.library.passage(hit)) for hit in near]
    answer = session.asker.ask(question, passages)
    console = session.console
    console.print(Text(clean(answer.text)))
    for doubt in answer.doubts:
        console.print(Text(f"! {clean(doubt)}", style="yellow"))
    console.print(Text(f"sources, read by {answer.model}:", style="dim"))
    session.hits = session.hits[: len(answer.passages)]
    return _show(session, 0, replace(results, hits=tuple(session.hits)))


# -- files


def open_file(session: Session, words: Words) -> Code:
    path = _existing(session, words[0])
    whole = session.library.root / path
    if not session.interactive:
        print(whole)
        return Code.OK
    line = next((hit.best for hit in session.hits if hit.path == path), 1)
    code = subprocess.run([*editor(line), str(whole)], check=False).returncode
    session.library.refresh((path,))
    return Code.OK if code == 0 else Code.ERROR


JUMPS = frozenset(("vi", "vim", "nvim", "view", "nano", "emacs", "micro", "less", "more", "kak", "joe", "jed", "ed"))
"""Programs that understand +LINE."""


def editor(line: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The command that edits a file, at a line where it can; the pager where none is set."""
    chosen = next(filter(None, (environment.get(name) for name in ("VISUAL", "EDITOR", "PAGER"))), "less")
    command = shlex.split(chosen)
    return [*command, f"+{line}"] if os.path.basename(command[0]) in JUMPS else command


def cat(session: Session, words: Words) -> Code:
    path = session.named(words[0])
    files = session.library.files
    data = files.show(path, _at(session, words[1:])) if words[1:] else files.read(path)
    versions.print_bytes(path, data, as_json=False)
    return Code.OK


def history(session: Session, words: Words) -> Code:
    session.console.print(versions.table(session.library.files.history(session.named(words[0]))))
    return Code.OK


def diff(session: Session, words: Words) -> Code:
    path, rest = session.named(words[0]), words[1:]
    # Two words are two versions when the first is one, else both are one time: "last tuesday".
    two = len(rest) == 2 and (rest[0].lstrip("+-").isdecimal() or rest[0] in session.library.files.tags())
    if two:
        text = session.library.files.diff(path, _at(session, rest[:1]), _at(session, rest[1:]))
    elif rest:
        text = session.library.files.diff(path, _at(session, rest))
    else:
        text = session.library.files.diff(path, -1)
    versions.show_diff(session.console, text)
    return Code.OK


def restore(session: Session, words: Words) -> Code:
    path = session.named(words[0])
    made = session.library.files.rollback(path, _at(session, words[1:]))
    session.restored.append((made.path, made.number))
    session.console.print(f"{clean(session.spelled(made.path))} is version {made.number} now; `undo` takes it back")
    return Code.OK


def undo(session: Session, words: Words) -> Code:
    match words:
        case ():
            if not session.restored:
                raise BadRequest("nothing was restored here yet; say undo --run RUN or undo --agent NAME")
            path, number = session.restored.pop()
            if session.library.files.version(path).number != number:
                raise Conflict(f"{path} changed since it was restored; `hist` shows its versions, `restore` picks one")
            made = session.library.files.rollback(path, number - 1)
            session.console.print(f"{clean(session.spelled(made.path))} is version {made.number} now")
            return Code.OK
        case ("--run", run):
            undone = session.library.files.undo(run=run)
        case ("--agent", name):
            undone = session.library.files.undo(agent=name)
        case _:
            raise BadRequest(f"usage: {VERBS['undo'].usage}")
    versions.show_undone(session.console, undone, dry_run=False)
    return Code.OK if undone else Code.ERROR


def ls(session: Session, words: Words) -> Code:
    rows = grid(">SIZE", "CHANGED", "~NAME")
    for entry in session.library.files.list(session.path(words[0] if words else ".")):
        if not entry.path.rpartition("/")[2].startswith("."):
            name = f"{entry.path.rpartition('/')[2]}{'/' if entry.kind == 'directory' else ''}"
            rows.add_row(
                "" if entry.kind == "directory" else size(entry.size),
                versions.when(entry.modified),
                Text(clean(shown.flat(name)), style="bold blue" if entry.kind == "directory" else ""),
            )
    session.console.print(rows)
    return Code.OK


def cd(session: Session, words: Words) -> Code:
    session.directory = _directory(session, words[0]) if words else "."
    return Code.OK


def index(session: Session, _: Words) -> Code:
    from aios.cli.indexing import take_in
    from aios.cli.progress import listener

    with listener(as_json=False) as told:
        take_in(session.library, told)
    return Code.OK


# -- the rest


def run(session: Session, command: str) -> Code:
    """A command of the system, in the directory that we are in."""
    sys.stdout.flush()
    place = session.library.root / session.directory
    done = subprocess.run(["/bin/sh", "-c", command], cwd=place, check=False)
    session.library.refresh()
    return Code.OK if done.returncode == 0 else Code.ERROR


def tell(session: Session, words: Words) -> Code:
    if words and words[0] not in VERBS:
        raise NotFound(f"there is no command {words[0]}; `help` lists them")
    rows = grid("COMMAND", "~WHAT IT DOES")
    for usage, help in () if words else OTHERS:
        rows.add_row(usage, help)
    for verb in [VERBS[words[0]]] if words else VERBS.values():
        rows.add_row(verb.usage, verb.help)
    session.console.print(rows)
    return Code.OK


def leave(_: Session, __: Words) -> Code:
    raise Quit


# `search WORDS` is a search like any other line.
DO: Mapping[str, Do] = {
    "more": more,
    "like": like,
    "in": within,
    "since": since,
    "open": open_file,
    "cat": cat,
    "hist": history,
    "diff": diff,
    "restore": restore,
    "undo": undo,
    "ls": ls,
    "cd": cd,
    "index": index,
    "help": tell,
    "quit": leave,
}


# -- what words name


def _existing(session: Session, word: str) -> str:
    path = session.named(word)
    try:
        session.library.files.stat(path)
    except AiosError as error:
        raise Elsewise(f"no file {word} is here") from error
    return path


def _directory(session: Session, word: str) -> str:
    path = session.path(word)
    try:
        if session.library.files.stat(path).kind == "directory":
            return path
    except AiosError as error:
        raise Elsewise(f"no directory {word} is here") from error
    raise Elsewise(f"{word} is a file, not a directory")


def _at(session: Session, words: Words) -> At:
    return moments.at(" ".join(words), session.library.files.tags())
