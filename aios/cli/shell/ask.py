"""A kernel beside the shell, booted at the first question, whose model answers from passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aios.cli.shell.answer import MOST_CLAIMS, SYSTEM, CitedPassage, Claim, claims, doubts, fitting, grammar, prompt

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from aios.boot import BootedRun
    from aios.config import Config

ROOM = 3_200
"""Characters of passages: they leave room for the answer in 2,048 tokens, the least context by default."""
MAX_TOKENS = 80 * MOST_CLAIMS
SMALL = 10**9
"""Bytes of a model file below which nobody should take its word."""


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """What a model wrote, from which passages, and why it is not to be trusted, if so."""

    text: str
    model: str
    passages: tuple[CitedPassage, ...]
    claims: tuple[Claim, ...]
    doubts: tuple[str, ...]


class Asker:
    """Asks the configured model; `options` go to `boot`. The kernel runs in a thread until the asker is closed."""

    def __init__(self, configure: Callable[[], Config], **options: Any) -> None:
        self._configure = configure
        self._options = options
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._run: BootedRun | None = None
        self._small = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def ask(self, question: str, passages: Sequence[CitedPassage]) -> CitedAnswer:
        """The answer to a question from the first passages that the model has room for.

        Raises ModelFailed or BadRequest when there is no model to ask.
        """
        run = self._booted()
        assert self._portal is not None
        chosen = fitting(passages, ROOM)
        reply = self._portal.call(_chat, run, question, chosen)
        text = reply.text.strip()
        found = claims(text, chosen)
        said = [*([f"it did not come to an end in {MAX_TOKENS} tokens"] if reply.finish == "length" else ())]
        said += doubts(found)
        if self._small:
            said.append(self._small)
        return CitedAnswer(text, reply.model, tuple(chosen), tuple(found), tuple(said))

    def _booted(self) -> BootedRun:
        if self._run is None:
            from anyio.from_thread import start_blocking_portal

            from aios.boot import boot

            config = self._configure()
            self._small = too_small(config)
            self._portal = self._portal or self._stack.enter_context(start_blocking_portal())
            self._run = self._stack.enter_context(
                self._portal.wrap_async_context_manager(boot(config, **self._options))
            )
        return self._run


async def _chat(run: BootedRun, question: str, passages: Sequence[CitedPassage]) -> Any:
    """One llm.chat, under the grammar of citations where a model can be held to one."""
    from aios_syscalls import Chat, Message

    messages = (Message(role="system", content=SYSTEM), Message(role="user", content=prompt(question, passages)))
    call = Chat(messages=messages, grammar=grammar(len(passages)), max_tokens=MAX_TOKENS, truncate=True)
    if all(model.refusal(call) for model in run.models.values()):
        call = call.model_copy(update={"grammar": None})
    return await run.run.submit(call)


def too_small(config: Config) -> str:
    """Why the model that will answer cannot be trusted whatever it writes; empty if it may be."""
    from aios.config import LocalModelConfig

    chosen = config.models.get(config.model or next(iter(config.models), ""))
    if chosen is None:
        what = "the model that comes with aios, SmolLM2-135M,"
    elif isinstance(chosen, LocalModelConfig) and chosen.path.is_file() and chosen.path.stat().st_size < SMALL:
        what = f"{chosen.path.stem}, a file of {chosen.path.stat().st_size / 1e6:.0f} MB,"
    else:
        return ""
    return f"{what} is too small to be believed: read its sources, or configure a larger model (aios config)"
