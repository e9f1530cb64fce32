"""The words that make a line a command, each with its usage, its help, and what its arguments are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Argument = Literal["file", "directory", "moment", "undo", "verb", ""]
"""What can be completed after a verb."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A command of the shell; between `least` and `most` words follow it."""

    name: str
    usage: str
    help: str
    argument: Argument = ""
    least: int = 0
    most: int = 0
    searches: bool = False
    """Whether the line is a search after all where its words name nothing: these verbs begin many sentences."""


MANY = 1_000

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("search", "search WORDS", "search, even for words that begin like a command", "", 1, MANY),
        Verb("more", "more", "the next results of the last search", "", 0, 0, searches=True),
        Verb("like", "like N|PATH", "files that are like this one", "file", 1, 1, searches=True),
        Verb("in", "in [PATH [WORDS]]", "search below a directory; alone: everywhere", "directory", 0, MANY, True),
        Verb("since", "since [WHEN [WORDS]]", "search what changed since; alone: always", "moment", 0, MANY, True),
        Verb("open", "open N|PATH", "open in your editor, at the line that was found", "file", 1, 1, searches=True),
        Verb("cat", "cat N|PATH [VERSION|WHEN]", "print a file, now or as it was", "file", 1, MANY),
        Verb("hist", "hist N|PATH", "the versions of a file", "file", 1, 1),
        Verb("diff", "diff N|PATH [FROM [TO]]", "what changed, by default in the last version", "file", 1, MANY),
        Verb(
            "restore", "restore N|PATH VERSION|WHEN", "make a file what it was; `undo` takes it back", "file", 2, MANY
        ),
        Verb("undo", "undo [--run RUN | --agent NAME]", "take back the last restore, or a whole run", "undo", 0, 2),
        Verb("ls", "ls [PATH]", "list a directory", "directory", 0, 1),
        Verb("cd", "cd [PATH]", "go to a directory: searches stay below it", "directory", 0, 1),
        Verb("index", "index", "read what changed, and wait until all of it can be found by meaning", "", 0, 0, True),
        Verb("help", "help [VERB]", "this list, or one command", "verb", 0, 1),
        Verb("quit", "quit", "leave; so does Ctrl-D", "", 0, 0),
    )
}

OTHERS = (
    ("WORDS", "search: by meaning and by the words"),
    ("? QUESTION", "let the model answer from the files, with its sources"),
    ("! COMMAND", "run a command of the system"),
)
"""What a line can be that begins with no verb."""
