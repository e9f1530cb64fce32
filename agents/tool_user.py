"""Answer questions about numbers, dates, units, times and texts with tools.

The task is one question a line, such as `What is 17 * 23?`, `How many miles are 42 kilometres?`, `What time is it in
Tokyo?` or `How many words are in: the sun is hot`. A text to look at follows a colon.

A small model chooses badly and fills in well. So each choice is tried: when the arguments leave out a number of the
question, or the tool refuses them, the model chooses again among the tools that are left.
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
    ("What is 12 times 9?", "calculator", {"expression": "12 * 9"}),
    ("How many days are there from 2024-01-01 to 2024-03-01?", "date_diff", DAYS),
    ("How many miles are 10 kilometres?", "convert_units", MILES),
    ("What time is it in Tokyo?", "clock", {"zone": "Asia/Tokyo"}),
    ("What is the square root of 81?", "calculator", {"expression": "sqrt(81)"}),
    ("Convert 70 F to C.", "convert_units", {"value": 70, "from_unit": "F", "to_unit": "C"}),
    ("What is 20 percent of 50?", "calculator", {"expression": "50 * 20 / 100"}),
    ("What is the date today in Los Angeles?", "clock", {"zone": "America/Los_Angeles"}),
    ("A ticket costs 8 euros. What do 25 tickets cost?", "calculator", {"expression": "25 * 8"}),
    ("How many ounces are 50 grams?", "convert_units", {"value": 50, "from_unit": "grams", "to_unit": "ounces"}),
    ("What is (2 + 3) to the power of 4?", "calculator", {"expression": "(2 + 3) ** 4"}),
    ("How many words are in: the sun is hot", "text_stats", {"text": "the sun is hot"}),
    ("Which word is most frequent in: a rose is a rose", "word_frequency", {"text": "a rose is a rose", "top": 3}),
    ("How many sentences has: It rains. We stay.", "text_stats", {"text": "It rains. We stay."}),
    ("What are the top words of: sea and land and sky", "word_frequency", {"text": "sea and land and sky", "top": 3}),
    ("Count the words in: my blue hat", "text_stats", {"text": "my blue hat"}),
)
SIGNS = set("()+*/")
NUMBER = re.compile(r"\d+|[()+*/]")


async def main(agent: Agent, task: str) -> str:
    questions = [line.strip() for line in task.splitlines() if line.strip()] or ["What is 17 * 23?"]
    tools = {spec.name: spec for spec in await agent.tools(*{tool for _, tool, _ in EXAMPLES})}
    return "\n".join(await gather(*(answer(agent, question, tools) for question in questions)))


async def answer(agent: Agent, question: str, tools: dict[str, ToolSpec]) -> str:
    """What a tool says to a question, with the call that brought it."""
    alike = [example for example in EXAMPLES if (":" in example[0]) == (":" in question)]
    left = list(dict.fromkeys(tool for _, tool, _ in alike))
    while left:
        choices = [(f"{asked}\nTool:", name) for asked, name, _ in alike]
        tool = await agent.pick(shots(choices, f"{question}\nTool:"), left)
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
    """Arguments for a tool, in its schema; a text is taken from the question as it is."""
    talk = shots([(asked, arguments) for asked, tool, arguments in EXAMPLES if tool == spec.name], question)
    # What follows a number is what it is to be converted from: the schema leaves the model only the rest to choose.
    source = re.findall(r"\d ?([^\W\d]+)", question)
    target = [word for word in re.findall(r"[^\W\d]+", question) if word not in source]
    narrow = {"from_unit": {"enum": source or [""]}, "to_unit": {"enum": target or [""]}}
    fields = {name: narrow.get(name, field) for name, field in spec.parameters["properties"].items()}
    reply = await agent.chat(talk, schema=spec.parameters | {"properties": fields}, max_tokens=100)
    arguments: dict[str, Any] = json.loads(reply.text)
    return arguments | ({"text": question.partition(":")[2].strip()} if "text" in arguments else {})


def fits(question: str, arguments: dict[str, Any]) -> bool:
    """Whether all numbers and signs of the question were used, and no other numbers."""
    given, used = set(NUMBER.findall(question)), set(NUMBER.findall(json.dumps(arguments)))
    extra = {"100"} if "percent" in question else set()
    return "text" in arguments or (given <= used <= given | SIGNS | extra)


def shots(examples: list[tuple[str, Any]], question: str) -> list[Message]:
    """A conversation in which the examples were answered well."""
    talk = []
    for asked, answered in examples:
        talk += [Message(role="user", content=asked), Message(role="assistant", content=json.dumps(answered))]
    return [*talk, Message(role="user", content=question)]
