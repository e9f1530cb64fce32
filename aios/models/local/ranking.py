"""How likely given texts are: a `Rank` is a few prompts, read one after the other for their last tokens' logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Sequence
from itertools import takewhile
from math import fsum

import numpy as np
import numpy.typing as npt

from aios.models.local.generation import Generation
from aios.models.local.llama import Floats, LlamaModel
from aios.models.local.template import Template
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, Rank, Ranked, RankReply, Sampling, Usage

KEPT = 256
"""Neutral prompts whose likelihoods are kept: they are the same for each call that chooses among the same."""

Texts = tuple[tuple[int, ...], ...]
"""The tokens of a prompt with each of the options after it."""
Known = OrderedDict[Texts, list[float]]
"""Log-likelihoods of options after neutral prompts, the least recently used first."""


class Scoring(Generation):
    """A prompt that is read, and nothing written. `asked` says which tokens' probabilities are wanted after each of
    its last tokens."""

    def __init__(self, id: int, model: LlamaModel, prompt: Sequence[int], asked: Sequence[Sequence[int]]) -> None:
        super().__init__(id, model, prompt, Sampling(), room=len(prompt) + 1, max_tokens=1)
        self._first = len(prompt) - len(asked)
        self._asked = asked
        self._found: dict[int, list[float]] = {}

    @property
    def found(self) -> list[list[float]]:
        """The log-probabilities of what was asked, when all is read."""
        return [self._found[self._first + number] for number in range(len(self._asked))]

    @property
    def sharable(self) -> int:
        # Another's state comes without the logits that made it.
        return min(super().sharable, self._first)

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        return range(max(begin, self._first), end)

    def see(self, begin: int, logits: Floats) -> None:
        """Take the logits of the wanted positions of a piece that starts at `begin`. Raises ModelFailed."""
        for position, row in enumerate(logits, max(begin, self._first)):
            self._found[position] = log_softmax(row)[self._asked[position - self._first]].tolist()


def log_softmax(logits: Floats) -> npt.NDArray[np.float64]:
    """The log-probability of each token. Raises ModelFailed if the logits are no numbers."""
    scores = logits.astype(np.float64)
    scores -= scores.max()
    if np.isnan(scores[0]):
        raise ModelFailed("the model computed logits that are not numbers; its file may be damaged")
    scores -= np.log(np.exp(scores).sum())
    return scores


class Ranking:
    """A `Rank` under way: `jobs` are to be read one after the other, then there is a `reply`.

    Raises BadRequest for what the template refuses or a prompt that is longer than `room`.
    """

    def __init__(self, id: int, model: LlamaModel, template: Template, call: Rank, room: int, known: Known) -> None:
        self._id, self._model, self._call, self._known = id, model, call, known
        endings = [model.tokenize(call.prefix + option) for option in call.options]
        variants = [call.messages, *(_replaced(call, content) for content in call.neutral)]
        prompts = [template.tokens(Chat(messages=messages, tools=call.tools)) for messages in variants]
        longest = max(map(len, prompts)) + max(map(len, endings))
        if longest > room:
            raise BadRequest(
                f"prompt and option have {longest} tokens and a slot holds {room}; "
                "shorten the messages or configure a longer context",
                "messages",
            )
        self._variants = [tuple((*prompt, *ending) for ending in endings) for prompt in prompts]
        self._results: list[list[float]] = []
        self.jobs = self._jobs()

    def _jobs(self) -> Iterator[Scoring]:
        for number, texts in enumerate(self._variants):
            if number and texts in self._known:
                self._known.move_to_end(texts)
                self._results.append(self._known[texts])
                continue
            likelihoods = yield from self._read(texts)
            self._results.append(likelihoods)
            if number:
                self._known[texts] = likelihoods
                while len(self._known) > KEPT:
                    self._known.popitem(last=False)

    def _read(self, texts: Texts) -> Generator[Scoring, None, list[float]]:
        """Jobs that together find the probability of each token that follows what all texts have in common."""
        start = _common(texts)
        following: dict[tuple[int, ...], list[int]] = {}
        for text in texts:
            for end in range(start, len(text)):
                following.setdefault(text[:end], []).append(text[end])
        found: dict[tuple[int, ...], float] = {}
        # Neighbours in this order have most in common, and a text comes after those that go on from it.
        for text in sorted(texts, reverse=True):
            unknown = [text[:end] for end in range(start, len(text)) if text[:end] in following]
            if not unknown:
                continue
            asked = [sorted(set(following.pop(each))) for each in unknown]
            job = Scoring(self._id, self._model, unknown[-1], asked)
            yield job
            for each, tokens, values in zip(unknown, asked, job.found, strict=True):
                found |= {(*each, token): value for token, value in zip(tokens, values, strict=True)}
        return [fsum(found[text[: end + 1]] for end in range(start, len(text))) for text in texts]

    def reply(self) -> RankReply:
        """What came of it."""
        own, *neutral = self._results
        usual = [sum(each) / len(each) for each in zip(*neutral, strict=True)] if neutral else [0.0] * len(own)
        scores = [value - mean for value, mean in zip(own, usual, strict=True)]
        return RankReply(
            options=tuple(
                Ranked(option=option, log_likelihood=value, score=score)
                for option, value, score in zip(self._call.options, own, scores, strict=True)
            ),
            best=scores.index(max(scores)),
            usage=Usage(prompt_tokens=sum(map(_tokens, self._variants))),
        )


def _replaced(call: Rank, content: str) -> list[Message]:
    """The conversation with another last user message."""
    messages = list(call.messages)
    last = max(number for number, message in enumerate(messages) if message.role == "user")
    messages[last] = messages[last].model_copy(update={"content": content})
    return messages


def _common(texts: Texts) -> int:
    """How many tokens all texts begin with; fewer than the shortest has, so that each has a likelihood."""
    equal = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return min(sum(1 for _ in equal), min(map(len, texts)) - 1)


def _tokens(texts: Texts) -> int:
    start = _common(texts)
    return start + sum(len(text) - start for text in texts)
