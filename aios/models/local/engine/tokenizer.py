"""The process that counts the tokens of prompts: a model's vocabulary and template, without its weights.

`python -m aios.models.local.engine.tokenizer SOCKET MODEL` answers {chat} with {tokens} or {error}, one by one.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from aios.dumpable import set_dumpable
from aios.frames import MAX_FRAME_BYTES, send_blocking
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.template import Template
from aios.models.local.engine.walled import close_in
from aios_syscalls import AiosError, Chat


def _frames(sock: socket.socket) -> Iterator[dict[str, Any]]:
    with sock.makefile("rb") as lines:
        while line := lines.readline(MAX_FRAME_BYTES):
            yield from_json(line)


def main() -> int:
    """Count until the other side hangs up; the status to leave with."""
    set_dumpable(False)
    path = Path(sys.argv[2])
    close_in(path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's; it closes the socket
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        try:
            template = Template(LlamaModel(path, vocabulary_only=True))
        except AiosError as error:
            send_blocking(sock, {"failed": error.to_wire()})
            return 1
        send_blocking(sock, {"ready": True})
        for asked in _frames(sock):
            try:
                answer: dict[str, Any] = {"tokens": len(template.tokens(Chat.model_validate(asked["chat"])))}
            except AiosError as error:
                answer = {"error": error.to_wire()}
            send_blocking(sock, answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
