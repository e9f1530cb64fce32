"""What a model says of files, held to what they say: summaries, and versions compared in words.

Small models invent. So a draft counts only where nearly all of its longer words, and all of its numbers, are in the
text; else the text speaks for itself: its first sentence, or the lines that differ, counted.
"""

from __future__ import annotations

import re

from aios.sdk.agent import Agent
from aios.sdk.versions import At, point
from aios_syscalls import AiosError, DiffFile, ReadFile

LONGEST = 2400
"""Bytes of a text that a model reads: in any language, these and the answer fit a context of 2048 tokens."""
MAX_SUMMARISED_BYTES = 16 * LONGEST
"""Bytes of a file that are summarised."""
SENTENCE_LONGEST = LONGEST // 8
MOST_FILES = 8
FAITHFUL = 0.8
"""The share of a draft's words that the text must have."""
SYSTEM = "You write short, exact summaries."
SENTENCE = re.compile(r"[^\W\d_\s].*?[.!?](?=\s|$)", re.DOTALL)


async def summarise(agent: Agent, path: str, *, model: str | None = None) -> str:
    """A file in a sentence or two, or the first files of a folder, a line each."""
    if path != "." and (await agent.stat(path)).kind == "file":
        return await _file(agent, path, model)
    files = [entry for entry in await agent.list(path) if entry.kind == "file"]
    lines = [f"{entry.path}: {await _file(agent, entry.path, model)}" for entry in files[:MOST_FILES]]
    more = [f"... and {len(files) - MOST_FILES} more files"] if len(files) > MOST_FILES else []
    return "\n".join([*lines, *more]) or f"{path} has no files"


async def compare(agent: Agent, path: str, a: At, b: At | None = None, *, model: str | None = None) -> str:
    """How two versions of a file differ: lines counted, in words where the model's hold up, and the lines."""
    diff = (await agent.port.submit(DiffFile(path=path, a=point(a), b=None if b is None else point(b)))).text
    if not diff:
        return "nothing differs"
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    added, removed = (
        [line[1:].strip() for line in lines if line.startswith(sign) and line[1:].strip()] for sign in "+-"
    )
    counted = f"{len(added)} lines added, {len(removed)} removed"
    prompt = (
        f"Removed from {path}:\n{_few(removed)}\n\nAdded to {path}:\n{_few(added)}\n\nIn one sentence, what changed:"
    )
    said = await _said(agent, prompt, " ".join([path, *added, *removed, "added removed changed file line text"]), model)
    return "\n".join(part for part in (counted, said, diff) if part)


async def _file(agent: Agent, path: str, model: str | None) -> str:
    data = (await agent.port.submit(ReadFile(path=path, length=MAX_SUMMARISED_BYTES + 1))).data
    if b"\0" in data:
        return "not text"
    text = data[:MAX_SUMMARISED_BYTES].decode("utf-8", "ignore").strip()
    if not text:
        return "empty"
    said = await _text(agent, text, model)
    return said if len(data) <= MAX_SUMMARISED_BYTES else f"{said} (of its first {MAX_SUMMARISED_BYTES} bytes)"


async def _text(agent: Agent, text: str, model: str | None) -> str:
    """A text in a sentence; where it is too long for one look, the sentences of its parts in a sentence."""
    parts = cut(text)
    if len(parts) > 1:
        return await _text(agent, "\n".join([await _text(agent, part, model) for part in parts]), model)
    said = await _said(agent, f"{text}\n\nSummary of the text above in one sentence:", text, model)
    # Shorter than a part in any case, so that there is an end to it.
    return (said or first_sentence(text))[:SENTENCE_LONGEST]


def cut(text: str) -> list[str]:
    """A text in parts of at most LONGEST bytes, between lines where it has some."""
    parts, part = [], ""
    for line in text.splitlines(keepends=True):
        for at in range(0, len(line), LONGEST // 4):
            piece = line[at : at + LONGEST // 4]
            if part and len((part + piece).encode()) > LONGEST:
                parts.append(part)
                part = ""
            part += piece
    return [*parts, part]


async def _said(agent: Agent, prompt: str, known: str, model: str | None) -> str:
    """What the model says, if it holds up; nothing where it does not, or there is no model."""
    try:
        draft = await agent.ask(prompt, system=SYSTEM, max_tokens=64, truncate=True, model=model)
    except AiosError:
        return ""
    sentence = SENTENCE.search(draft)
    said = " ".join(sentence[0].split()) if sentence else ""
    return said if said and faithful(said, known) >= FAITHFUL else ""


def first_sentence(text: str) -> str:
    """The first sentence with some words in it, or the beginning."""
    whole = (" ".join(found[0].split()) for part in text.split("\n\n") for found in SENTENCE.finditer(part))
    return next((sentence for sentence in whole if len(sentence.split()) > 3), " ".join(text.split())[:200])


def faithful(draft: str, text: str) -> float:
    """The share of a draft's longer words that its text has; 0 when it has a number that is not in the text."""
    words, known = (re.findall(r"\w+", each.casefold()) for each in (draft, text))
    if any(word.isdigit() and word not in known for word in words):
        return 0.0
    stems = {word[:5] for word in known}
    long = [word for word in words if len(word) > 3]
    return sum(word[:5] in stems for word in long) / max(len(long), 1)


def _few(lines: list[str]) -> str:
    return "\n".join(lines)[: LONGEST // 2] or "nothing"
