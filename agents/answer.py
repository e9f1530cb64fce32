"""Answer a question from the texts, with the place where the answer stands.

Task: the question. It finds the paragraph that shares the rarest words with the question, and asks the model with it.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from aios.sdk import Agent, gather

PROMPT = "{passage}\n\nAnswer the question from the text above, in a few words.\nQuestion: {question}\nAnswer:"
SMALL = """a an and are at did do does for from has have how in is it of on the to was were what when where which who
why will with"""
STOP = frozenset(SMALL.split())


async def main(agent: Agent, task: str) -> str:
    if not task:
        return "Ask a question: aios run answer --task 'Who ...?'"
    entries = await agent.list(".", recursive=True)
    paths = [entry.path for entry in entries if entry.path.endswith((".txt", ".md"))]
    texts = await gather(*(agent.read(path) for path in paths))
    passages = [
        (path, line, passage) for path, text in zip(paths, texts, strict=True) for line, passage in paragraphs(text)
    ]
    best, score = find(task, passages)
    if best is None or score == 0:
        return "I do not know: no text here says anything about it."
    path, line, passage = best
    answer = await agent.ask(PROMPT.format(passage=passage[:1500], question=task), max_tokens=40, stop=["\n"])
    return f"{answer} ({path}:{line})"


def paragraphs(text: str) -> list[tuple[int, str]]:
    """The paragraphs of a text, each with the number of its first line."""
    found, line = [], 1
    for part in text.split("\n\n"):
        if part.strip():
            found.append((line, " ".join(part.split())))
        line += part.count("\n") + 2
    return found


def words(text: str) -> set[str]:
    """The words of a text that carry meaning, without their plural s."""
    return {word.rstrip("s") for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in STOP}


def find(question: str, passages: list[tuple[str, int, str]]) -> tuple[tuple[str, int, str] | None, float]:
    """The passage whose words in common with the question are the rarest, and their weight."""
    spread = Counter(word for _, _, passage in passages for word in words(passage))
    asked = words(question)

    def weight(entry: tuple[str, int, str]) -> float:
        shared = asked & words(entry[2] + " " + entry[0])
        return sum(math.log(1 + len(passages) / (1 + spread[word])) for word in shared)

    best = max(passages, key=weight, default=None)
    return best, weight(best) if best else 0.0
