"""Answer questions about numbers, dates, units and texts with tools.

The task is one question a line, such as `What is 17 * 23?`, `How many miles are 42 km?`, `What time is it in Tokyo?`
or `How many words are in: the sun is hot`. A text to look at follows a colon.

Small models choose badly and fill in well. So a wrong choice shows in the arguments, which leave out a number of the
question, or in the tool, which refuses them: then the model chooses again among the other tools.
"""

import json
import re
from typing import Any

from aios.sdk import Agent, gather
from aios_syscalls import CallerError, Message, ToolFailed, ToolSpec

EXAMPLES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("What is 12 times 9?", "calculator", {"expression": "12 * 9"}),
    ("How many days are there from 2024-01-01 to 2024-03-01?", "date_diff", {"start": "2024-01-01", "end": "2024-03-01"}),
    ("How many miles are 10 kilometres?", "convert_units", {"value": 10, "from_unit": "km", "to_unit": "mi"}),
    ("What time is it in Tokyo?", "clock", {"zone": "Asia/Tokyo"}),
    ("How many words are in: the sun is hot", "text_stats", {"text": "the sun is hot"}),
    ("Which word is most frequent in: a rose is a rose", "word_frequency", {"text": "a rose is a rose", "top": 3}),
    ("What is the square root of 81?", "calculator", {"expression": "sqrt(81)"}),
    ("How many hours are 90 minutes?", "convert_units", {"value": 90, "from_unit": "min", "to_unit": "h"}),
    ("What is the date today in Los Angeles?", "clock", {"zone": "America/Los_Angeles"}),
    ("A ticket costs 8 euros. What do 25 tickets cost?", "calculator", {"expression": "25 * 8"}),
)
NUMBER = re.compile(r"\d+")


async def main(agent: Agent, task: str) -> str:
    questions = [line.strip() for line in task.splitlines() if line.strip()] or ["What is 17 * 23?"]
    specs = {spec.name: spec for spec in await agent.tools(*{tool for _, tool, _ in EXAMPLES})}
    return "\n".join(await gather(*(answer(agent, question, specs) for question in questions)))


async def answer(agent: Agent, question: str, specs: dict[str, ToolSpec]) -> str:
    """The question's answer and how it came about."""
    left = list(specs)
    while left:
        tool = await agent.pick(shots([(f"{q}\nTool:", t) for q, t, _ in EXAMPLES], f"{question}\nTool:"), left)
        left.remove(tool)
        arguments = await fill(agent, question, specs[tool])
        if set(NUMBER.findall(question)) <= set(NUMBER.findall(json.dumps(arguments))):
            try:
                value = await agent.call(tool, **arguments)
            except (CallerError, ToolFailed):
                continue
            return f"{question} {json.dumps(value)} ({tool} {json.dumps(arguments)})"
    return f"{question} No tool could answer this."


async def fill(agent: Agent, question: str, spec: ToolSpec) -> dict[str, Any]:
    """Arguments for a tool, in its schema; a text is taken from the question as it is."""
    talk = shots([(q, a) for q, tool, a in EXAMPLES if tool == spec.name], question)
    arguments = json.loads((await agent.chat(talk, schema=spec.parameters, max_tokens=100)).text)
    if "text" in arguments:
        arguments["text"] = question.partition(":")[2].strip() or question
    return arguments


def shots(examples: list[tuple[str, Any]], question: str) -> list[Message]:
    """A conversation in which the examples were answered well."""
    talk = []
    for asked, answered in examples:
        talk += [Message(role="user", content=asked), Message(role="assistant", content=json.dumps(answered))]
    return [*talk, Message(role="user", content=question)]
