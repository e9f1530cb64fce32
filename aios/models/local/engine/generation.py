"""One answer in the making.

How a token is computed shows in the last bits of its state (see engine.py), so it belongs to what the token is. A
*tagged token* is the token's id if it is computed together with its neighbours, as prompts are, or the complement of
its id, ~id, if it is computed alone, as answers are. States of equal tagged tokens are equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, Protocol

from aios.models.local.engine.llama import Floats, LlamaModel
from aios.models.local.engine.sampling import Allowed, choose
from aios.models.local.engine.text import ShownText
from aios_syscalls import Sampling

Finish = Literal["stop", "length"]
TaggedTokens = list[int]
"""Ids, complemented where a token is computed alone."""


class AnswerGrammar(Protocol):
    """What an answer must follow."""

    @property
    def restricts(self) -> bool:
        """Whether there is anything that may not come next."""

    @property
    def over(self) -> bool:
        """Whether nothing may follow."""

    @property
    def allowed(self) -> Allowed:
        """Which of some tokens may come next."""

    def accept(self, token: int) -> None:
        """Move on past an allowed token, which must not be one that ends the answer."""

    def close(self) -> None:
        """Free what it holds."""


class Generation:
    """All that an answer is but its state in the KV cache, from its start to its end, however often it is paused.

    The prompt is given as tagged tokens. With `generated` it continues one that had got so far elsewhere. `room` is how
    many tokens prompt and answer may have together. `exact`: its tokens are computed alone.
    """

    def __init__(
        self,
        id: int,
        model: LlamaModel,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        room: int,
        max_tokens: int,
        seed: int = 0,
        text: ShownText | None = None,
        grammar: AnswerGrammar | None = None,
        generated: Sequence[int] = (),
        salt: str = "",
        exact: bool = True,
        pid: int = 0,
    ) -> None:
        self.id, self.pid = id, pid
        self.salt = salt
        """It shares beginnings with those of the same salt only."""
        self.tagged, self._runs = _in_runs(prompt)
        """Prompt and answer; where the prompt's runs of tokens end that are computed together, or each alone."""
        self.tokens = [identity(token) for token in self.tagged]
        """Their ids."""
        self.start = len(self.tagged)
        """Where the answer begins."""
        self.text = text or ShownText()
        self.computed = 0
        """How many of the tokens' states are in the KV cache, or saved."""
        self.cached = 0
        """How many of the prompt's were there when it began."""
        self.budget: int | None = None
        """Tokens left in this slice; None has no end."""
        self._model, self._sampling, self._seed, self._grammar = model, sampling, seed, grammar
        self._most = min(max_tokens, room - len(prompt))
        self._exact = exact
        for token in generated:
            self._take(token)

    @property
    def generated(self) -> list[int]:
        """The answer's tokens."""
        return self.tokens[self.start :]

    @property
    def finish(self) -> Finish | None:
        """Why no token follows any more, if that is so already."""
        if self.text.stopped or (self._grammar is not None and self._grammar.over):
            return "stop"
        return "length" if len(self.tokens) - self.start >= self._most else None

    @property
    def together(self) -> int:
        """How many tokens come next that are computed together; 0 if the next is computed alone."""
        at, end = self.computed, len(self.tagged)
        if at >= self.start:
            # Not the last token, if it is of the answer: it is what the next is drawn from, as everybody's.
            return 0 if self._exact or end - at == 1 else end - at
        return 0 if self.tagged[at] < 0 else self._run_end(at) - at

    def begin(self, length: int) -> int:
        """How many of the first `length` tokens of the prompt may come from elsewhere.

        Not the last, whose logits are needed, nor all but one of a run that is computed together.
        """
        length = min(length, self.start - 1)
        torn = length > 0 and min(self.tagged[length - 1 : length + 1]) >= 0
        return length - (torn and self._run_end(length) - length == 1)

    def _run_end(self, at: int) -> int:
        return self._runs[bisect_right(self._runs, at)]

    def wanted(self, begin: int, end: int) -> Sequence[int]:
        """The positions from `begin` to `end` of a piece of prompt whose logits are to be computed."""
        return range(end - 1, end) if begin < end == len(self.tokens) else ()

    def draw(self, logits: Floats) -> tuple[int, str] | None:
        """Choose the next token and take it: its id and the text that became final, or None at the end of the answer.

        Raises ModelFailed if nothing can be chosen.
        """
        allowed = self._grammar.allowed if self._grammar and self._grammar.restricts else None
        number = len(self.tokens) - self.start
        token = choose(logits, self.tokens, self._sampling, self._seed, number, allowed)
        return None if self._model.ends(token) else (token, self._take(token))

    def _take(self, token: int) -> str:
        self.tokens.append(token)
        self.tagged.append(~token if self._exact else token)
        if self._grammar:
            self._grammar.accept(token)
        return self.text.add(self._model.piece(token))

    def close(self) -> None:
        """Free its grammar."""
        if self._grammar:
            self._grammar.close()


def _in_runs(prompt: Sequence[int]) -> tuple[list[int], list[int]]:
    """A prompt's tagged tokens, and where its runs end; a run of one token is computed alone, whatever it was to be."""
    tagged, ends = list[int](), list[int]()
    for alone, run in groupby(prompt, lambda token: token < 0):
        tokens = list(run)
        tagged += [~tokens[0]] if len(tokens) == 1 and not alone else tokens
        ends.append(len(tagged))
    return tagged, ends


def identity(token: int) -> int:
    """The id of a tagged token."""
    return token if token >= 0 else ~token
