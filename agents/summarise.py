"""Summarise a text, or each text of a folder, in a sentence.

The task is the path of a file or a folder; nothing means the root. The digest is written to `results/`.

The model drafts twice, from the whole text and from its beginning. Small models invent: the draft that says the most in
the text's own words is taken, and where none comes near them, the text's first sentence is quoted.
"""

from __future__ import annotations

import re
from contextlib import suppress

from aios.sdk import Agent, faithful, gather
from aios_syscalls import Exists

SYSTEM = "You write short, exact summaries."
PROMPT = "{text}\n\nSummary of the text above in one sentence:"
SENTENCE = re.compile(r"[A-Z\"“].*?[.!?](?=\s|$)", re.DOTALL)
LONGEST = 2400
"""Bytes that are read of a text: in any language, its tokens and the answer's fit a context of 2048."""
BEGINNING = 400
"""Characters of the first paragraphs, titles left out."""
FAITHFUL = 0.8
"""The share of a summary's words that its text must have."""


async def main(agent: Agent, task: str) -> str:
    path = task.strip(" /") or "."
    digest = "\n".join(await gather(*(summarise(agent, each) for each in await texts(agent, path)), width=8))
    with suppress(Exists):
        await agent.mkdir("results")
    name = "summary.md" if path == "." else f"{path.replace('/', '-')}.summary.md"
    await agent.write(f"results/{name}", digest + "\n")
    return digest


async def texts(agent: Agent, path: str) -> list[str]:
    """The file, or the text files in the folder."""
    if (await agent.stat(path)).kind == "file":
        return [path]
    return [entry.path for entry in await agent.list(path) if entry.path.endswith((".txt", ".md"))]


async def summarise(agent: Agent, path: str) -> str:
    """The line of one file."""
    text = (await agent.read_bytes(path, 0, LONGEST)).decode("utf-8", "ignore")
    prompts = (PROMPT.format(text=part) for part in (text, beginning(text)))
    answers = await gather(*(agent.ask(prompt, system=SYSTEM, max_tokens=64) for prompt in prompts))
    drafts = [first(answer, shortest=6) for answer in answers]
    best = max(drafts, key=lambda draft: faithful(draft, text))
    if faithful(best, text) < FAITHFUL:
        best = first(text, shortest=6) or " ".join(text.split())[:200]
    return f"{path}: {best}"


def beginning(text: str) -> str:
    """The first paragraph that is no title, with the next ones while they are short."""
    kept = ""
    for paragraph in text.split("\n\n"):
        if len(paragraph) > 80:
            if kept and len(kept) + len(paragraph) > BEGINNING:
                break
            kept += paragraph + "\n\n"
    return kept.strip() or text


def first(text: str, shortest: int) -> str:
    """The first whole sentence of a text that has so many words, on one line."""
    whole = (" ".join(match[0].split()) for line in text.split("\n\n") for match in SENTENCE.finditer(line))
    return next((sentence for sentence in whole if len(sentence.split()) >= shortest), "")
