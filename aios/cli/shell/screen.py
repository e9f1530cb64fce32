"""The shell on a terminal: a prompt with history and completion, and a line below it that is kept up to date."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory
from prompt_toolkit.styles import Style

from aios.cli.shell.complete import CompletionWords, ShellCompleter
from aios.private import private_directory

STYLE = Style.from_dict(
    {
        "bottom-toolbar": "noreverse bg:ansibrightblack fg:ansiwhite",
        "prompt": "ansicyan bold",
        "scope": "ansiyellow",
    }
)
REFRESH_S = 0.5


class Pulse:
    """Asks a question again and again in a thread, for what answers late must not hold up the keys."""

    def __init__(self, ask: Callable[[], str], every_s: float = REFRESH_S) -> None:
        self.last = ""
        self._ask = ask
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            self.last = self._ask()
            self._over.wait(self._every_s)


class Screen:
    """Reads lines from a person."""

    def __init__(
        self, known: CompletionWords, where: Callable[[], tuple[str, str]], status: Callable[[], str], past: Path
    ) -> None:
        """`where` gives the directory and the scope for the prompt, `status` the toolbar; `past` keeps the lines."""
        private_directory(past.parent)
        past.touch(mode=0o600)
        past.chmod(0o600)
        self._where = where
        self._pulse = Pulse(status)
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(past)),
            auto_suggest=AutoSuggestFromHistory(),
            completer=ShellCompleter(known),
            complete_while_typing=False,
            bottom_toolbar=lambda: f" {self._pulse.last}",
            refresh_interval=REFRESH_S,
            style=STYLE,
        )

    def __enter__(self) -> Self:
        self._pulse.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pulse.__exit__(kind, error, trace)

    def read(self) -> str:
        """The next line. Raises EOFError at Ctrl-D, KeyboardInterrupt at Ctrl-C."""
        return self._session.prompt(self._prompt)

    def _prompt(self) -> StyleAndTextTuples:
        directory, scope = self._where()
        middle: StyleAndTextTuples = [("class:scope", f" {scope}")] if scope else []
        return [("class:prompt", directory), *middle, ("", "> ")]
