"""Forms of words, in the notation of JSGF grammars: `(a | b)` one of these, `[a]` or nothing, `<name>` a form that has
a name, and `{field}` what an operation takes. A form matches a clause whole, without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aios.fs.operations import FileKind, Operation
from aios.fs.slot_parsers import PRONOUNS, TYPES

TOKEN = re.compile(r"\{(\w+)\}|<(\w+)>|([\[\]()|])|([^\s\[\](){}<>|]+)")
NAMED: Mapping[str, str] = {
    "file": "[the | my | our | this | that] [[text] (file | folder | directory | document)] [called | named]",
    "after": "[file | folder | directory | document | script]",
    "thing": "(file | files | note | notes | document | documents | docs | paper | papers | texts | pages | things)",
    "all": "[all | every | each | any | everything] [of] [the | my | our | those | these]",
    "about": (
        "(about | on | concerning | regarding | mentioning | with | dealing with | to do with"
        " | (that | which) (mention | mentions | are about | is about | talk about | deal with | deals with))"
    ),
    "changed": "[has | have | is | was | are] [been] (change | changed | different | new | differs | modified)",
    "told": "(show | tell | list | give) [me | us]",
    "remove": "(delete | remove | erase | rm | trash | discard | drop | get rid of | throw away | throw out)",
    "back": "(roll | take | bring | set | put | turn | get | return | revert | restore | reset | switch | rewind)",
    "in": "(in | from | of | below | under | inside)",
    "a": "[a | an | the | my | its | all] [new | full | whole | last | latest | most recent | old | older | past]",
    "virtual": "(virtual | search | smart | live)",
}
MARK = r"⟦\d+⟧"
MANY = rf"{MARK}(?:(?: ,| and| , and)(?: the)? {MARK})+"
NEW = rf"{MARK}|(?!(?:it|this|that|the|a|an|me|file|folder|new)\b)[\w-]+"
SLOTS: Mapping[FileKind, str] = {
    FileKind.PATH: rf"{MARK}|{MANY}|{PRONOUNS}",
    FileKind.PAST: rf"{MARK}|{PRONOUNS}",
    FileKind.FOLDER: MARK,
    FileKind.NEW: NEW,
    FileKind.AT: ".+?",
    FileKind.TIME: ".+?",
    FileKind.SECONDS: r"[\w ]+?",
    FileKind.QUERY: ".+?",
    FileKind.TEXT: MARK,
    FileKind.NAME: rf"{MARK}|(?!(?:i|we|you|he|she|they|it|he|that|this|the|a|an|my|all)\b)\w[\w.-]*",
}
PLACES = (FileKind.PATH, FileKind.PAST, FileKind.FOLDER, FileKind.NEW)
WORDS: Mapping[str, str] = {
    "by": "topic|subject|author|time|date|month",
    "type": "|".join(TYPES),
    "today": "yesterday|today|(?:last|this) (?:week|month|year|night|morning)",
}
"""Fields that offer a choice of words."""


def form(text: str, operation: type[Operation] | None = None) -> re.Pattern[str]:
    """The pattern of a form, for clauses as `spaced` gives them."""
    pattern, rest = _alternatives(TOKEN.findall(text), operation)
    assert not rest, f"a bracket too many in {text!r}"
    return re.compile(pattern, re.I)


def spaced(clause: str) -> str:
    """A clause with a space behind each word, commas and colons too."""
    return re.sub(r"\s*([,:])(?=\s|$)", r" \1", " ".join(clause.split())) + " "


_Token = tuple[str, str, str, str]


def _alternatives(tokens: list[_Token], operation: type[Operation] | None) -> tuple[str, list[_Token]]:
    options = [""]
    while tokens and tokens[0][2] not in ("]", ")"):
        (slot, name, sign, word), tokens = tokens[0], tokens[1:]
        if sign == "|":
            options.append("")
        elif sign:
            inner, tokens = _alternatives(tokens, operation)
            assert tokens, "a bracket is not closed"
            tokens = tokens[1:]
            options[-1] += f"(?:{inner})" + ("?" if sign == "[" else "")
        elif slot:
            options[-1] += _slot(slot, operation)
        elif name:
            options[-1] += f"(?:{form(NAMED[name]).pattern})"
        else:
            options[-1] += re.escape(word) + " "
    return "|".join(options), tokens


def _slot(name: str, operation: type[Operation] | None) -> str:
    if name in WORDS and not (operation and name in operation.kinds()):
        return f"(?P<{name}>{WORDS[name]}) "
    kind = operation.kinds().get(name, FileKind.QUERY) if operation else FileKind.QUERY
    whole = f"(?P<{name}>{SLOTS[kind]}) "
    return f"(?:{form('<file>').pattern}){whole}(?:{form('<after>').pattern})" if kind in PLACES else whole
