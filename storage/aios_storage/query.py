"""What people type into a search box, as a query of SQLite's FTS5; any text is a query."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_STOP_WORDS_WORDS = """
a an and are as at be but by can do does for from has have how if in into is it its of on or that the their then
there these this to was were what when where which who why will with
"""
STOP_WORDS = frozenset(_STOP_WORDS_WORDS.split())
_PART = re.compile(r'([+-]?)"([^"]*)"|(\S+)')
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
MOST = 64
"""Terms of a query that are searched for."""


@dataclass(frozen=True, slots=True)
class Keywords:
    """A query's terms, each a phrase of FTS5 in quotes: any of some, all of others, none of the last."""

    any: tuple[str, ...] = ()
    must: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    words: tuple[str, ...] = field(default=())
    """All words that a match may be marked for, as they were typed."""

    def expression(self, any: tuple[str, ...] | None = None) -> str:
        """For MATCH; empty where nothing is searched for. `any` instead of all of the terms of which any will do."""
        terms = self.any if any is None else any
        wanted = [f"({' OR '.join(terms)})"] if terms and not self.must else []
        expression = " AND ".join([*self.must, *wanted])
        if self.must and terms:
            # The others add to the score of what has all that must be there.
            expression = f"({expression}) AND ({' OR '.join([*self.must, *terms])})"
        if expression and self.never:
            expression = f"({expression}) NOT ({' OR '.join(self.never)})"
        return expression


def parse(text: str) -> Keywords:
    """A query: words, of which any will do; "a phrase"; +must; -never; a AND b; beginning*."""
    any: list[str] = []
    must: list[str] = []
    never: list[str] = []
    words: list[str] = []
    following = ""
    for before, phrase, word in _PART.findall(text.replace("\0", " ")):
        if word in ("AND", "OR", "NOT"):
            if word == "AND" and any:
                must.append(any.pop())
            following = {"AND": "+", "OR": "", "NOT": "-"}[word]
            continue
        sign = before or (word[0] if word[:1] in ("+", "-") else following)
        following = ""
        found = _WORD.findall(phrase or word)
        if not found:
            continue
        terms = [_quoted(found)] if phrase or (sign and len(found) > 1) else [_quoted([each]) for each in found]
        if word.endswith("*"):
            terms[-1] += "*"
        if sign == "-":
            never += terms
        else:
            words += found
            (must if sign == "+" else any).extend(terms)
    plain = [term for term in any if term.strip('"').lower() not in STOP_WORDS]
    unique = tuple(dict.fromkeys(plain or any))[:MOST]
    return Keywords(unique, tuple(dict.fromkeys(must)), tuple(dict.fromkeys(never)), tuple(dict.fromkeys(words)))


def _quoted(words: list[str]) -> str:
    return '"' + " ".join(words) + '"'
