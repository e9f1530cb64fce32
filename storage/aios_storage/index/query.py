"""What people type into a search box, as a query of SQLite's FTS5; any text is a query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from aios_storage.index.words import compatible, grams, indexed, split
from aios_syscalls.errors import BadRequest

_STOP_WORDS_WORDS = """
a an and are as at be but by can do does for from has have how if in into is it its of on or that the their then
there these this to was were what when where which who why will with
"""
STOP_WORDS = frozenset(_STOP_WORDS_WORDS.split())
_PART = re.compile(r'([+-]?)"([^"]*)"|(\S+)')
MAX_TERMS = 64
"""Terms of a query that are searched for; and so many may be there, or not be there, by its signs."""
LONGEST = 256
"""Words of a phrase."""


@dataclass(frozen=True, slots=True)
class Keywords:
    """A query's terms, each a phrase of FTS5 in quotes: any of some, all of others, none of the last."""

    any: tuple[str, ...] = ()
    must: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    words: tuple[str, ...] = field(default=())
    """All words that a match may be marked for; scripts without blanks in runs."""
    silent: tuple[str, ...] = field(default=())
    """Phrases in which there is no word, which are left out."""

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


def parse_query(text: str) -> Keywords:
    """A query: words, of which any will do; "a phrase"; +must; -never; a AND b; beginning*.

    Raises BadRequest where there is no word in what must or must not be there, or in a phrase that is all there is; and
    for over MAX_TERMS terms with a sign, or LONGEST words in a phrase, since SQLite's expressions are bounded. A phrase
    beside other words may be of any signs, as in a question about them.
    """
    any: list[str] = []
    must: list[str] = []
    never: list[str] = []
    words: list[str] = []
    silent: list[str] = []
    following = ""
    for before, phrase, word in _PART.findall(_typed(text)):
        if word in ("AND", "OR", "NOT"):
            if word == "AND" and any:
                must.append(any.pop())
            following = {"AND": "+", "OR": "", "NOT": "-"}[word]
            continue
        sign = before or (word[0] if word[:1] in ("+", "-") else following)
        following = ""
        found = split(phrase or word)
        if not found:
            if sign and (phrase.strip() or word.strip("+-")):
                raise _no_word(f'{sign}"{phrase}"' if phrase else word)
            silent += [f'"{phrase}"'] * bool(phrase.strip())
            continue
        terms = [_quoted(found)] if phrase or sign else [_quoted([part]) for each in found for part in grams(each)]
        if word.endswith("*"):
            terms[-1] += "*"
        if sign == "-":
            never += terms
        else:
            words += found
            (must if sign == "+" else any).extend(terms)
        _refuse_many(must, never, terms if phrase or sign else ())
    if silent and not (any or must or never):
        raise _no_word(silent[0])
    plain = [term for term in any if term.strip('"').lower() not in STOP_WORDS]
    unique = tuple(dict.fromkeys(plain or any))[:MAX_TERMS]
    return Keywords(
        unique, tuple(dict.fromkeys(must)), tuple(dict.fromkeys(never)), tuple(dict.fromkeys(words)), tuple(silent)
    )


def _typed(text: str) -> str:
    """A query with its signs as they are on every keyboard: input methods give wide ones."""
    return compatible(text.replace("\0", " "))


def _no_word(asked: str) -> BadRequest:
    return BadRequest(f"{asked} has no word to look for; name one, or leave it out", "text")


def _refuse_many(must: list[str], never: list[str], phrases: Sequence[str]) -> None:
    for sign, terms in (("+", must), ("-", never)):
        if len(terms) > MAX_TERMS:
            raise BadRequest(f"over {MAX_TERMS} words have a {sign}; leave some out, or the signs", "text")
    for phrase in phrases:
        if phrase.count(" ") >= LONGEST:
            raise BadRequest(f"the phrase {phrase[:40]}..., has over {LONGEST} words; name the first of them", "text")


def _quoted(words: list[str]) -> str:
    return f'"{" ".join(" ".join(map(indexed, words)).split())}"'
