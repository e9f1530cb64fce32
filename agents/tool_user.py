"""Answer questions about numbers, dates, units, times and texts with tools.

The task is one question a line, such as `What is 17 * 23?`, `How many miles are 42 kilometres?`, `What time is it in
Tokyo?` or `How many words are in: the sun is hot`. A text to look at follows a colon.

A small model chooses badly and fills in well. So each choice is tried: when the arguments leave out a number of the
question, or the tool refuses them, the model chooses again among the tools that are left.
"""

import json
import re
from typing import Any

from aios.sdk import Agent, gather
from aios_syscalls import CallerError, Message, ToolFailed, ToolSpec

EXAMPLES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("What is 12 times 9?", "calculator", {"expression": "12 * 9"}),
    ("How many days are there from 2024-01-01 to 2024-03-01?", "date_diff", {"start": "2024-01-01", "end": "2024-03-01"}),
    ("How many miles are 10 kilometres?", "convert_units", {"value": 10, "from_unit": "kilometres", "to_unit": "miles"}),
    ("What time is it in Tokyo?", "clock", {"zone": "Asia/Tokyo"}),
    ("How many words are in: the sun is hot", "text_stats", {"text": "the sun is hot"}),
    ("Which word is most frequent in: a rose is a rose", "word_frequency", {"text": "a rose is a rose", "top": 3}),
    ("What is the square root of 81?", "calculator", {"expression": "sqrt(81)"}),
    ("Convert 70 F to C.", "convert_units", {"value": 70, "from_unit": "F", "to_unit": "C"}),
    ("What is the date today in Los Angeles?", "clock", {"zone": "America/Los_Angeles"}),
    ("A ticket costs 8 euros. What do 25 tickets cost?", "calculator", {"expression": "25 * 8"}),
)
NUMBER = re.compile(r"\d+")


async def main(agent: Agent, task: str) -> str:
    questions = [line.strip() for line in task.splitlines() if line.strip()] or ["What is 17 * 23?"]
    tools = {spec.name: spec for spec in await agent.tools(*{tool for _, tool, _ in EXAMPLES})}
    return "\n".join(await gather(*(answer(agent, question, tools) for question in questions)))


async def answer(agent: Agent, question: str, tools: dict[str, ToolSpec]) -> str:
    """What a tool says to a question, with the call that brought it."""
    alike = [example for example in EXAMPLES if (":" in example[0]) == (":" in question)]
    left = list(dict.fromkeys(tool for _, tool, _ in alike))
    while left:
        tool = await agent.pick(shots([(f"{asked}\nTool:", name) for asked, name, _ in alike], f"{question}\nTool:"), left)
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
    arguments = json.loads((await agent.chat(talk, schema=spec.parameters, max_tokens=100)).text)
    return arguments | ({"text": question.partition(":")[2].strip()} if "text" in arguments else {})


def fits(question: str, arguments: dict[str, Any]) -> bool:
    """Whether every number of the question was used, and a unit follows the number that it follows there."""
    value = f"{arguments['value']:g} {arguments['from_unit']}" if "from_unit" in arguments else ""
    return value in question and set(NUMBER.findall(question)) <= set(NUMBER.findall(json.dumps(arguments)))


def shots(examples: list[tuple[str, Any]], question: str) -> list[Message]:
    """A conversation in which the examples were answered well."""
    talk = []
    for asked, answered in examples:
        talk += [Message(role="user", content=asked), Message(role="assistant", content=json.dumps(answered))]
    return [*talk, Message(role="user", content=question)]
