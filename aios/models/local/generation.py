"""One answer in the making."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aios.models.local.grammar import Grammar
from aios.models.local.llama import Floats, LlamaModel
from aios.models.local.sampling import choose
from aios.models.local.text import Text
from aios_syscalls import Sampling

Finish = Literal["stop", "length"]


class Generation:
    """All that an answer is but its state in the KV cache, from its start to its end, however often it is paused.

    With `generated` it continues one that had got so far elsewhere. `room` is how many tokens prompt and answer may
    have together.
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
        text: Text | None = None,
        grammar: Grammar | None = None,
        generated: Sequence[int] = (),
        salt: str = "",
    ) -> None:
        self.id = id
        self.salt = salt
        """It shares beginnings with those of the same salt only."""
        self.prompt = list(prompt)
        self.tokens = list(prompt)
        """Prompt and answer."""
        self.text = text or Text()
        self.computed = 0
        """How many of the tokens' states are in the KV cache, or saved."""
        self.budget: int | None = None
        """Tokens left in this slice; None has no end."""
        self._model, self._sampling, self._seed, self._grammar = model, sampling, seed, grammar
        self._most = min(max_tokens, room - len(prompt))
        for token in generated:
            self._take(token)

    @property
    def generated(self) -> list[int]:
        """The answer's tokens."""
        return self.tokens[len(self.prompt) :]

    @property
    def finish(self) -> Finish | None:
        """Why no token follows any more, if that is so already."""
        if self.text.stopped:
            return "stop"
        return "length" if len(self.tokens) - len(self.prompt) >= self._most else None

    def draw(self, logits: Floats) -> tuple[int, str] | None:
        """Choose the next token and take it: its id and the text that became final, or None at the end of the answer.

        Raises ModelFailed if nothing can be chosen.
        """
        allowed = self._grammar.allowed if self._grammar else None
        number = len(self.tokens) - len(self.prompt)
        token = choose(logits, self.tokens, self._sampling, self._seed, number, allowed)
        return None if self._model.ends(token) else (token, self._take(token))

    def _take(self, token: int) -> str:
        self.tokens.append(token)
        if self._grammar:
            self._grammar.accept(token)
        return self.text.add(self._model.piece(token))

    def close(self) -> None:
        """Free its grammar."""
        if self._grammar:
            self._grammar.close()
