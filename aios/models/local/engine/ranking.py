"""How likely given texts are: a `Rank` is a few prompts, read one after the other for their last tokens' logits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import fsum

import numpy as np
import numpy.typing as npt

from aios.models.local.engine.generation import Generation
from aios.models.local.engine.llama import Floats, LlamaModel
from aios.models.local.engine.template import Template
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, Rank, Ranked, RankReply, Sampling, Usage

KEPT = 256
"""Neutral prompts whose likelihoods are kept: they are the same for each call that chooses among the same."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The tokens of a prompt with each of the options after it, and from where on each one's likelihood counts."""

    tokens: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]
    salt: str

    @property
    def size(self) -> int:
        """How many tokens there are, those that all begin with counted once."""
        common = _common(self.tokens)
        return common + sum(len(each) - common for each in self.tokens)


Known = OrderedDict[Texts, list[float]]
"""Log-likelihoods of options after neutral prompts, the least recently used first."""


class Scoring(Generation):
    """A prompt that is read, and nothing written; `asked` are positions and the tokens that may follow there."""

    def __init__(
        self, id: int, model: LlamaModel, prompt: Sequence[int], asked: Mapping[int, Sequence[int]], salt: str = ""
    ) -> None:
        super().__init__(id, model, prompt, Sampling(), room=len(prompt) + 1, max_tokens=1, salt=salt)
        self.found: dict[int, list[float]] = {}
        """At each position that was read, the log-probabilities of what was asked."""
        self._asked = asked

    def begin(self, length: int) -> int:
        # Another's state comes without the logits that made it.
        return super().begin(min(length, *self._asked))

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        return [position for position in range(begin, end) if position in self._asked]

    def see(self, positions: Sequence[int], logits: Floats) -> None:
        """Take the logits of wanted positions. Raises ModelFailed."""
        for position, row in zip(positions, logits, strict=True):
            self.found[position] = log_softmax(row)[self._asked[position]].tolist()


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
        self.id = id
        self._model, self._call, self._known = model, call, known
        contents = [call.messages, *([] if call.evidence else [_replaced(call, content) for content in call.neutral])]
        prompts = [template.to_rank(Chat(messages=messages, tools=call.tools)) for messages in contents]
        evidence = [call.evidence, *call.neutral] if call.evidence else [None]
        self._variants = [self._texts(prompt, each) for prompt in prompts for each in evidence]
        longest = max(len(tokens) for texts in self._variants for tokens in texts.tokens)
        if longest > room:
            raise BadRequest(
                f"prompt and option have {longest} tokens and a slot holds {room}; "
                "shorten the messages or configure a longer context",
                "messages",
            )
        self._results: list[list[float]] = []
        self.jobs = self._jobs()

    def _texts(self, prompt: Sequence[int], evidence: str | None) -> Texts:
        # What the model would write is tokenized by itself, and whole: pieces merge otherwise at their borders.
        begun = [(*prompt, *self._model.tokenize(self._call.prefix + option)) for option in self._call.options]
        if evidence is None:
            return Texts(tuple(begun), (_common(begun),) * len(begun), self._call.cache_salt)
        whole = [
            (*prompt, *self._model.tokenize(self._call.prefix + option + evidence)) for option in self._call.options
        ]
        return Texts(tuple(whole), tuple(map(_equal, zip(begun, whole, strict=True))), self._call.cache_salt)

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
        """Jobs that together find the probability of each token that counts; what texts have in common is read once."""
        following: dict[tuple[int, ...], set[int]] = {}
        for start, text in zip(texts.starts, texts.tokens, strict=True):
            for end in range(start, len(text)):
                following.setdefault(text[:end], set()).add(text[end])
        found: dict[tuple[int, ...], float] = {}
        # Neighbours in this order have most in common, and a text comes after those that go on from it.
        for text in sorted(texts.tokens, reverse=True):
            asked = {end - 1: sorted(following.pop(text[:end])) for end in range(len(text)) if text[:end] in following}
            if asked:
                job = Scoring(self.id, self._model, text[: max(asked) + 1], asked, texts.salt)
                yield job
                for position, tokens in asked.items():
                    for token, value in zip(tokens, job.found[position], strict=True):
                        found[*text[: position + 1], token] = value
        return [
            fsum(found[text[: end + 1]] for end in range(start, len(text)))
            for start, text in zip(texts.starts, texts.tokens, strict=True)
        ]

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
            usage=Usage(prompt_tokens=sum(texts.size for texts in self._variants)),
        )


def _replaced(call: Rank, content: str) -> list[Message]:
    """The conversation with another last user message."""
    messages = list(call.messages)
    last = max(number for number, message in enumerate(messages) if message.role == "user")
    messages[last] = messages[last].model_copy(update={"content": content})
    return messages


def _equal(texts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens all texts begin with."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False)))


def _common(texts: Sequence[tuple[int, ...]]) -> int:
    """The same, but fewer than the shortest has, so that each has a likelihood."""
    return min(_equal(texts), min(map(len, texts)) - 1)
