"""What the contenders are asked, and what is counted. Pure: the same text for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aios_syscalls import Chat, ChatReply, Message

SUBJECTS = (
    *("a lighthouse", "a bakery", "the deep sea", "an old clock", "a stone bridge", "a hard winter", "a library"),
    *("a night train", "a glass blower", "a lost map", "an orchard", "a ferry", "a mountain hut", "a radio station"),
    *("a violin maker", "a desert well", "a paper mill", "a small airport", "a salt mine", "a circus", "a vineyard"),
    *("a river delta", "an observatory", "a market hall", "a weather balloon", "a puppet theatre", "a fishing village"),
    *(
        "a clay pot",
        "a castle garden",
        "a long road",
        "a coal ship",
        "a beehive",
        "a toy shop",
        "a school in the hills",
    ),
)
TASKS = (
    "Write a long story about {}.",
    "Tell me a very long tale about {} and its people.",
    "Write a long and detailed chapter of a novel about {}.",
    "Write a long fairy tale about {}, with many characters.",
    "Tell a long adventure that begins near {}.",
)
"""Answers to these go on for hundreds of tokens: no contender can be told to ignore the end of a text."""

SYSTEM = (
    "You are the author of a publishing house that prints stories for readers of every age. Write in whole sentences "
    "and in plain words. Begin with the place and the time, then bring in the people one after the other, each with a "
    "name, a wish and a secret. Describe what they see, hear and smell. Never explain what you are doing, never list "
    "anything, never ask the reader a question, and never stop before the story has come to its end. Keep to the "
    "subject that you are given. Let every chapter end with something that the reader wants to know. A story that you "
    "are asked to go on with continues exactly where it stopped, with the same people and the same weather. If a place "
    "is missing, take a harbour town in the north in the last days of October."
)
"""About 170 tokens that all clients of a chat server have in common."""

BRIEF = (
    "You are an agent among many others in one house. You have a diary of your own, and you answer questions about it "
    "at length, in whole sentences, with every detail that you can think of."
)
"""What agents with little in common have in common."""

_WHO = ("clerk", "night guard", "gardener", "engineer", "cook", "teacher", "doctor", "pilot", "carpenter", "editor")
_WHAT = ("counts", "repairs", "writes down", "weighs", "paints", "sorts", "cleans", "carries", "measures", "checks")
_WHICH = ("letters", "lamps", "boxes", "engines", "maps", "tables", "bottles", "ropes", "windows", "records")
_WHEN = ("before noon", "after the bell", "on Mondays", "in the evening", "at the gate", "without haste", "by hand")


def question(number: int) -> str:
    """The `number`-th of some 170 different requests; after those, the same ones with a number in them."""
    again, number = divmod(number, len(SUBJECTS) * len(TASKS))
    task = TASKS[number // len(SUBJECTS)].format(SUBJECTS[number % len(SUBJECTS)])
    return task + (f" It is your story number {again + 1}." if again else "")


def prose(seed: int, sentences: int) -> str:
    """Sentences of some 14 tokens, another text for each seed from its first word on."""
    said = [f"This is record {seed}."]
    for number in range(sentences):
        at = seed * 7 + number * 3
        who, what, which = _WHO[at % 10], _WHAT[(at // 2 + number) % 10], _WHICH[(at // 3 + 7 * number) % 10]
        said.append(f"The {who} of house {at % 89} {what} {at % 61} {which} {_WHEN[at % 7]}.")
    return " ".join(said)


def chats(first: int, count: int, tokens: int, system: str = SYSTEM) -> list[Chat]:
    """Requests number `first` to `first + count - 1`, behind the same system prompt."""
    return [
        _chat((_say("system", system), _say("user", question(number))), tokens)
        for number in range(first, first + count)
    ]


def long_chat(seed: int, sentences: int, tokens: int) -> Chat:
    """One request with a long text in it that nothing else begins with."""
    return _chat((_say("user", f"{prose(seed, sentences)} Now leave these records. {question(seed % 100)}"),), tokens)


@dataclass(frozen=True, slots=True)
class Script:
    """A conversation of an agent: what it begins with, and what the agent says in each turn."""

    opening: tuple[Message, ...]
    says: tuple[str, ...]
    tokens: int
    """Written in each turn."""

    def chat(self, answers: Sequence[str]) -> Chat:
        """The call of the turn that follows these answers."""
        messages = list(self.opening)
        for said, answer in zip(self.says, answers, strict=False):
            messages += [_say("user", said), Message(role="assistant", content=answer, generated=True)]
        return _chat((*messages, _say("user", self.says[len(answers)])), self.tokens)


def sharing(agents: int, turns: int, tokens: int, round: int, sentences: int = 36) -> list[Script]:
    """Agents with a long system prompt in common, about 600 tokens, and turns of about 45; all new in each round."""
    system = _say("system", f"{prose(1000 + round, sentences)} You write stories about these records.")
    return [Script((system,), _says(agent, turns, long=True), tokens) for agent in range(agents)]


def loners(agents: int, turns: int, tokens: int, round: int, sentences: int = 18) -> list[Script]:
    """Agents with a diary each, about 300 tokens, and little in common."""
    return [
        Script(
            (_say("system", BRIEF),),
            (f"My diary: {prose(2000 + 100 * round + agent, sentences)} {question(agent)}", *_says(agent, turns)[1:]),
            tokens,
        )
        for agent in range(agents)
    ]


def _says(agent: int, turns: int, long: bool = False) -> tuple[str, ...]:
    more = " Let the people of the records meet there, one after the other, and tell what each of them says and does."
    return tuple(
        f"Turn {turn + 1} of agent {agent + 1}. {question(agent + 17 * turn)}{more if long else ''}"
        for turn in range(turns)
    )


def _say(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


def _chat(messages: tuple[Message, ...], tokens: int) -> Chat:
    return Chat(messages=messages, max_tokens=tokens)


@dataclass(frozen=True, slots=True)
class ConversationTurn:
    """What one turn of an agent's conversation took, in tokens."""

    prompt: int
    answer: int
    """Those of the answer whose state was computed: not the last one, unless the end of the text followed it."""

    @classmethod
    def of(cls, reply: ChatReply) -> ConversationTurn:
        """As its reply says."""
        return cls(reply.usage.prompt_tokens, reply.usage.completion_tokens - (reply.finish == "length"))


def recomputed_share(
    agents: Sequence[Sequence[ConversationTurn]], shared: int, before: Mapping[str, int], after: Mapping[str, int]
) -> float:
    """Tokens read though their state had been computed before, over all tokens of prompts; never below 0.

    New in a turn is what goes beyond the agent's last prompt and answer; the first `shared` tokens of all agents are
    new once. `before` and `after` are the model's statistics: prompt tokens read, and answers' computed again.
    """
    new = shared
    for turns in agents:
        known = shared
        for turn in turns:
            new += max(0, turn.prompt - known)
            known = turn.prompt + turn.answer
    computed = sum(after[name] - before[name] for name in ("read_tokens", "again_tokens"))
    return max(0, computed - new) / sum(turn.prompt for turns in agents for turn in turns)


def gaps(emitted: Sequence[Sequence[float]], begin: float, end: float) -> list[float]:
    """The pauses of streams that touch the time from `begin` to `end`, in order of length."""
    return sorted(
        later - earlier for times in emitted for earlier, later in pairwise(times) if later > begin and earlier < end
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
