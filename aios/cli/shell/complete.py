"""What Tab offers: verbs, paths, and the numbers of results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from aios.cli.shell.verbs import VERBS

MOMENTS = ("today", "yesterday", "last monday", "last week", "2 days ago", "1 hour ago")


class CompletionWords(Protocol):
    """What a shell knows that can be completed."""

    def results(self) -> Sequence[str]:
        """The paths of the numbered results, from 1."""

    def entries(self, directory: str) -> Iterable[tuple[str, bool]]:
        """The names in a directory, each with whether it is a directory itself; nothing where there is none."""


class ShellCompleter(Completer):
    """Completes the word before the cursor."""

    def __init__(self, known: CompletionWords) -> None:
        self._known = known

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        line = document.text_before_cursor.lstrip()
        name, blank, rest = line.partition(" ")
        if not blank:
            for verb in VERBS.values():
                if verb.name.startswith(name):
                    yield Completion(f"{verb.name} ", -len(name), display=verb.usage, display_meta=verb.help)
        elif name in VERBS:
            verb = VERBS[name]
            word = last_word(rest)
            before = rest[: len(rest) - len(word)].split()
            match verb.argument:
                case "file" | "directory" if not before:
                    yield from self._paths(word, directories=verb.argument == "directory")
                case "moment":
                    yield from words(rest.lstrip(), MOMENTS)
                case "undo" if not before:
                    yield from words(word, ("--run ", "--agent "))
                case "verb" if not before:
                    yield from words(word, VERBS)
                case _:
                    return

    def _paths(self, word: str, *, directories: bool) -> Iterator[Completion]:
        if not directories:
            for number, path in enumerate(self._known.results(), 1):
                if str(number).startswith(word):
                    yield Completion(str(number), -len(word), display_meta=path)
        typed = unquoted(word)
        folder, slash, beginning = typed.rpartition("/")
        for name, is_directory in sorted(self._known.entries(folder or ("/" if slash else "."))):
            hidden = name.startswith(".") and not beginning.startswith(".")
            if name.startswith(beginning) and not hidden and (is_directory or not directories):
                path = f"{folder}{slash}{name}{'/' if is_directory else ''}"
                yield Completion(quoted(path), -len(word), display=f"{name}{'/' if is_directory else ''}")


def words(word: str, choices: Iterable[str]) -> Iterator[Completion]:
    """Those of `choices` that begin like `word`."""
    yield from (Completion(choice, -len(word)) for choice in choices if choice.startswith(word))


def last_word(text: str) -> str:
    """The word that is being typed at the end, as it is typed; a backslash keeps a blank in it."""
    return re.search(r"(?s)(?:\\.|[^\s\\])*\\?\Z", text)[0]  # type: ignore[index]  # it matches the empty end


def quoted(path: str) -> str:
    """A path as one word of a line."""
    return re.sub(r"([\s\\'\"])", r"\\\1", path)


def unquoted(word: str) -> str:
    """A word without its backslashes."""
    return re.sub(r"(?s)\\(.)", r"\1", word)
