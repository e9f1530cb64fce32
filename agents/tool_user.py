"""Answer questions about numbers, dates, units, times and texts with tools.

The task is one question a line, such as `What is 17 * 23?`, `How many miles are 42 kilometres?`, `What time is it in
Tokyo?` or `How many words are in: the sun is hot`. A text to look at follows a colon.

A small model chooses badly and fills in well. So what the question says exactly is not left to it, and each choice is
tried: when numbers of the question are missing in the arguments, or the tool refuses them, it chooses again.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aios.sdk import Agent, gather
from aios_syscalls import CallerError, Message, ToolFailed, ToolSpec

DAYS = {"start": "2024-01-01", "end": "2024-03-01"}
MILES = {"value": 10, "from_unit": "kilometres", "to_unit": "miles"}
EXAMPLES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("What is 20 percent of 50?", "calculator", {"expression": "50 * 20 / 100"}),
    (
        "How many days are there from 2024-01-01 to 2024-03-01?",
        "date_diff",
        {"start": "2024-01-01", "end": "2024-03-01"},
    ),
    ("What is 2 to the power of 8?", "calculator", {"expression": "2 ** 8"}),
    (
        "How many miles are 10 kilometres?",
        "convert_units",
        {"value": 10, "from_unit": "kilometres", "to_unit": "miles"},
    ),
    ("What is the square root of 81?", "calculator", {"expression": "sqrt(81)"}),
    ("What time is it in Tokyo?", "clock", {"zone": "Asia/Tokyo"}),
    ("A ticket costs 8 euros. What do 25 tickets cost?", "calculator", {"expression": "25 * 8"}),
    ("Convert 70 F to C.", "convert_units", {"value": 70, "from_unit": "F", "to_unit": "C"}),
    ("What is the date today in Los Angeles?", "clock", {"zone": "America/Los_Angeles"}),
    ("How many ounces are 50 grams?", "convert_units", {"value": 50, "from_unit": "grams", "to_unit": "ounces"}),
    ("What is 12 times 9?", "calculator", {"expression": "12 * 9"}),
    ("How many words are in: the sun is hot", "text_stats", {"text": "the sun is hot"}),
    ("Which word is most frequent in: a rose is a rose", "word_frequency", {"text": "a rose is a rose", "top": 3}),
    ("What are the top words of: sea and land and sky", "word_frequency", {"text": "sea and land and sky", "top": 3}),
    ("How many sentences has: It rains. We stay.", "text_stats", {"text": "It rains. We stay."}),
    ("Count the words in: my blue hat", "text_stats", {"text": "my blue hat"}),
)
SYMBOLS = re.compile(r"[\d(][\d.()*/+ -]*[*/+-][\d.()*/+ -]*[\d)]")


async def main(agent: Agent, task: str) -> str:
    questions = [line.strip() for line in task.splitlines() if line.strip()] or ["What is 17 * 23?"]
    tools = {spec.name: spec for spec in await agent.tools(*{tool for _, tool, _ in EXAMPLES})}
    return "\n".join(await gather(*(answer(agent, question, tools) for question in questions)))


async def answer(agent: Agent, question: str, tools: dict[str, ToolSpec]) -> str:
    """What a tool says to a question, with the call that brought it."""
    alike = [example for example in EXAMPLES if (":" in example[0]) == (":" in question)]
    talk = shots([(f"{asked}\nTool:", tool) for asked, tool, _ in alike], f"{question}\nTool:")
    left = list(dict.fromkeys(tool for _, tool, _ in alike))
    while left:
        tool = await agent.pick(talk, left)
        left.remove(tool)
        arguments = await fill(agent, question, tools[tool])
        if fits(question, arguments):
            try:
                value = await agent.call(tool, **arguments)
            except (CallerError, ToolFailed):
                continue
            return f"{question} {json.dumps(value)} ({tool} {json.dumps(arguments)})"
    return f"{question} No tool could answer this."


async def fill(agent: Agent, question: str, spec: ToolSpec) -> dict[str, Any]:
    """Arguments for a tool; its schema is narrowed to what the question says of them."""
    units = re.findall(r"\d ?([^\W\d]+)", question)  # what follows a number is what to convert from
    exact = {
        "text": [question.partition(":")[2].strip()],
        "expression": SYMBOLS.findall(question),
        "from_unit": units,
        "to_unit": [word for word in re.findall(r"[^\W\d]+", question) if word not in units],
    }
    fields = {
        name: {"type": "string", "enum": exact[name]} if exact.get(name) else field
        for name, field in spec.parameters["properties"].items()
    }
    talk = shots([(asked, arguments) for asked, tool, arguments in EXAMPLES if tool == spec.name], question)
    reply = await agent.chat(talk, schema=spec.parameters | {"properties": fields}, max_tokens=200)
    return json.loads(reply.text) if reply.finish == "stop" else {}


def fits(question: str, arguments: dict[str, Any]) -> bool:
    """Whether there are arguments, with all numbers of the question and no others."""
    given, used = (set(re.findall(r"\d+", text)) for text in (question, json.dumps(arguments)))
    extra = {"100"} if "percent" in question else set()
    return bool(arguments) and ("text" in arguments or given <= used <= given | extra)


def shots(examples: list[tuple[str, Any]], question: str) -> list[Message]:
    """A conversation in which the examples were answered well."""
    talk = []
    for asked, answered in examples:
        talk += [Message(role="user", content=asked), Message(role="assistant", content=json.dumps(answered))]
    return [*talk, Message(role="user", content=question)]
