"""Answer a question from the texts, with the file and the line where the answer stands.

The task is the question, such as `Where was Elena Marchetti born?`. All `.txt` and `.md` files below the root are read.

The sentence that shares the rarest words with the question is found first, and the model is asked with its paragraph.
An answer that says nothing new, or says it in words that neither has, is replaced by that sentence. Where nothing
matches, the program says that it does not know.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import NamedTuple

from aios.sdk import Agent

PROMPT = "{text}\n\nAnswer from the text above, in one short sentence. {question}"
STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "did",
        "do",
        "does",
        "for",
        "from",
        "has",
        "have",
        "how",
        "in",
        "is",
        "it",
        "long",
        "many",
        "much",
        "of",
        "on",
        "to",
        "the",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "why",
        "will",
        "with",
    ]
)
LONGEST = 50_000
"""Bytes that are read of a file."""


class Sentence(NamedTuple):
    """A sentence, the paragraph around it and where it stands."""

    text: str
    paragraph: str
    path: str
    line: int


async def main(agent: Agent, task: str) -> str:
    question = task.strip() or "Where was Elena Marchetti born?"
    known = []
    for entry in await agent.list(recursive=True):
        if entry.path.endswith((".txt", ".md")) and not entry.path.startswith("results/"):
            known += sentences(entry.path, await agent.read_bytes(entry.path, 0, LONGEST))
    found = best(question, known)
    if found is None:
        return "I do not know: no text here says anything about it."
    prompt = PROMPT.format(text=found.paragraph[:2000], question=question)
    answer = await agent.ask(prompt, max_tokens=40, stop=["\n"])
    said, asked = terms(answer), terms(question)
    grounded = said & asked and said - asked and said <= asked | terms(found.paragraph)
    return f"{answer if grounded and answer.endswith('.') else found.text} ({found.path}:{found.line})"


def sentences(path: str, data: bytes) -> list[Sentence]:
    """The sentences of a file; a heading is none."""
    text = data.decode("utf-8", "ignore")
    found = []
    for block in re.finditer(r"\S(?:.|\n(?!\n))*", text):
        for part in re.finditer(r"\S.*?[.!?](?=\s|$)", block[0], re.DOTALL):
            line = text.count("\n", 0, block.start() + part.start()) + 1
            found.append(Sentence(" ".join(part[0].split()), block[0], path, line))
    return found


def best(question: str, known: list[Sentence]) -> Sentence | None:
    """The sentence whose words in common with the question are the rarest; its surroundings count half."""
    asked = terms(question)
    spread = Counter(term for each in known for term in terms(each.text))
    number = re.match(r"(?i)how|when", question)

    def shared(text: str) -> float:
        return sum(math.log(1 + len(known) / (1 + spread[term])) for term in asked & terms(text))

    def score(each: Sentence) -> float:
        numbered = 1 if number and re.search(r"\d", each.text) else 0
        return shared(each.text) + (shared(each.paragraph) + shared(each.path)) / 2 + numbered

    return max((each for each in known if shared(each.text + " " + each.path)), key=score, default=None)


def terms(text: str) -> set[str]:
    """The beginnings of the words that carry meaning, so that `fail` finds `failed`."""
    return {word[:5] for word in re.findall(r"\w+", text.casefold()) if word not in STOP}
