"""A question, passages that may answer it, and whether what a model wrote is borne out by those that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aios_storage import grams, is_apart

SILENT = "The files do not say."
"""What a model is to write when no passage answers."""

SYSTEM = (
    "Answer the question in one or two short sentences, from the numbered passages and nothing else. After each"
    f" sentence write the number of the passage that says so, as in [1]. If no passage answers it, write: {SILENT}"
)
LONGEST_CLAIM = 240
"""Characters that a model may write before it must cite."""
MOST_CLAIMS = 2
SHARE = 0.6
"""Of a claim's words that its passage must have. An invented claim of the question's topic has about half of them."""

_COMMON = """
about above after again also although among and another any are because been before being between both but
can could did does doing down during each either for from had has have having her here hers him his how into
its just may might more most must nor not now off only onto other our out over own per same shall she should
since some such than that the their them then there these they this those through thus too under until upon
very was were what when where which while who whom whose why will with within without would yet you your
passage file files question answer says said states according
"""
COMMON = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """A piece of a file, which begins at a line of it."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model wrote up to a citation; no passages when it cites none that there is."""

    text: str
    cites: tuple[int, ...]
    borne_out: bool
    """Whether the passages have its words, and all its figures."""
    elsewhere: int | None = None
    """Another passage that bears it out, where those do not."""


def prompt(question: str, passages: Sequence[CitedPassage]) -> str:
    """What the model reads."""
    shown = [f"[{number}] {passage.path}\n{passage.text.strip()}" for number, passage in enumerate(passages, 1)]
    return "\n\n".join((*shown, f"Question: {question}"))


def fitting(passages: Sequence[CitedPassage], room: int) -> list[CitedPassage]:
    """As many whole passages, from the first, as have `room` characters together; the first one cut to fit."""
    chosen: list[CitedPassage] = []
    for passage in passages:
        if chosen and len(passage.text) > room:
            break
        chosen.append(CitedPassage(passage.path, passage.line, passage.text[:room]))
        room -= len(passage.text)
    return chosen


def grammar(passages: int) -> str:
    """GBNF of sentences that each end in the number of a passage; within one, a full stop is that of a number."""
    numbers = " | ".join(f'"{number}"' for number in range(1, passages + 1))
    return (
        f'root ::= "{SILENT}" | claim (" " claim){{0,{MOST_CLAIMS - 1}}}\n'
        f'claim ::= [A-Z0-9"] piece{{8,{LONGEST_CLAIM}}} [.!?] " [" ({numbers}) "]"\n'
        "piece ::= [^\\x00-\\x1f\\[\\].!?] | [.] [0-9]\n"
    )


def claims(answer: str, passages: Sequence[CitedPassage]) -> list[Claim]:
    """What an answer says, piece by piece, each held against the passages that it cites."""
    return list(_claims(answer, passages))


def _claims(answer: str, passages: Sequence[CitedPassage]) -> Iterator[Claim]:
    for text, cited in re.findall(r"([^\[\]]*[^\[\]\s.,;:][^\[\]]*)((?:\s*\[[\d,\s]+\])*)", answer):
        numbers = dict.fromkeys(int(number) for number in re.findall(r"\d+", cited))
        cites = tuple(number for number in numbers if 1 <= number <= len(passages))
        source = " ".join(passages[number - 1].text for number in cites)
        said = text.strip(" .,;:\n")
        if cites and borne_out(said, source):
            yield Claim(said, cites, True)
        else:
            others = (number for number, passage in enumerate(passages, 1) if borne_out(said, passage.text))
            yield Claim(said, cites, False, next(others, None))


def borne_out(claim: str, source: str) -> bool:
    """Whether most words of a claim, and every figure, are in the source. It finds inventions, not wrong relations."""
    figures = set(_figures(claim)) - set(_figures(source))
    words = set(_stems(claim))
    return bool(words) and not figures and len(words & set(_stems(source))) >= SHARE * len(words)


def evidence(passage: CitedPassage, said: str) -> tuple[int, str]:
    """The line of a passage that has most words and figures of what was said, and its number in the file."""
    wanted = {*_stems(said), *_figures(said)}
    lines = passage.text.splitlines() or [""]
    best = max(range(len(lines)), key=lambda at: (len(wanted & {*_stems(lines[at]), *_figures(lines[at])}), -at))
    return passage.line + best, lines[best]


def _figures(text: str) -> Iterator[str]:
    yield from (figure.replace(",", "") for figure in re.findall(r"\d+(?:[.,]\d+)*", text))


def _stems(text: str) -> Iterator[str]:
    """The words that carry meaning, without their endings."""
    for word in re.findall(r"[^\W\d_]{2,}", text.lower()):
        if is_apart(word[0]):
            yield from grams(word)
        elif len(word) > 2 and word not in COMMON:
            yield word[: max(4, len(word) - 3)]


def doubts(found: Sequence[Claim]) -> list[str]:
    """Why an answer cannot be trusted, in words; nothing when all of it is borne out."""
    if not found:
        return ["the model wrote nothing"]
    if len(found) == 1 and found[0].text == SILENT.rstrip("."):
        return []
    said = []
    for claim in found:
        but = f" (but [{claim.elsewhere}] does)" if claim.elsewhere else ""
        if not claim.cites:
            said.append(f"no source is given for: {claim.text}")
        elif not claim.borne_out:
            where = ", ".join(f"[{number}]" for number in claim.cites)
            said.append(f"{where} does not say so{but}: {claim.text}")
    return said
