"""What a line means. A pure function: nothing is looked up but the verbs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from aios.cli.shell.verbs import VERBS
from aios_syscalls.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line, or a comment."""


@dataclass(frozen=True, slots=True)
class SearchLine:
    """Words to look for."""

    text: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for the model."""

    question: str


@dataclass(frozen=True, slots=True)
class RunLine:
    """A command of the system, for its own shell to read."""

    command: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A verb and its words; `line` is what was typed, stripped."""

    verb: str
    words: tuple[str, ...]
    line: str


Line = Nothing | SearchLine | Ask | RunLine | CommandLine


def parse(line: str) -> Line:
    """The meaning of a line. Raises BadRequest for a command with too few or too many words, or an open quote."""
    line = line.strip()
    if not line or line.startswith("#"):
        return Nothing()
    if line[0] in "?!":
        rest = line[1:].strip()
        if not rest:
            return CommandLine("help", (), line)
        return Ask(rest) if line[0] == "?" else RunLine(rest)
    name, _, rest = line.partition(" ")
    verb = VERBS.get(name)
    if verb is None:
        return SearchLine(line)
    if name == "search" and rest.strip():
        return SearchLine(rest.strip())  # quotes are the query's own
    words = split(line)[1:]
    if verb.least <= len(words) <= verb.most:
        return CommandLine(name, tuple(words), line)
    if verb.searches and words:
        return SearchLine(line)
    raise BadRequest(f"usage: {verb.usage}; to look for these words: search {line}")


def split(line: str) -> list[str]:
    """The words of a line as a POSIX shell splits them, quotes and backslashes included. Raises BadRequest."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=False)
    reader.whitespace_split = True
    reader.commenters = ""
    try:
        return list(reader)
    except ValueError:
        # An apostrophe is more often that of a sentence than a quote that was left open.
        words = line.split()
        if words and VERBS[words[0]].searches:
            return words
        raise BadRequest(f"a quote is left open in {line}; close it, or write \\' for an apostrophe") from None
