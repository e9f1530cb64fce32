"""Documents are read in a child process: a file of some kilobytes can unpack to whatever memory and time there is."""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys

from aios_storage.extract import MAX_EXTRACTED_BYTES, ExtractedText
from aios_storage.extract.encoding import NoText

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space of a child."""
SECONDS = 60
"""Of a processor, for one file; a reader of pages stops at half of it with what it has."""
WAIT_S = 600
"""By the clock: for a machine that has a tenth of a processor for it."""
SAID = 20
"""Warnings of libraries that are passed on."""
TOO_MUCH = f"it takes more than {MEMORY // 2**30} GiB of memory or {SECONDS} s to read"
_KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")


def read(suffix: str, data: bytes, memory: int = MEMORY, seconds: int = SECONDS) -> ExtractedText:
    """What a file of this suffix says. Raises NoText where reading it takes too much, ValueError where it cannot be."""
    command = [sys.executable, "-P", "-m", __name__, suffix, str(memory), str(seconds)]
    try:
        # In a session of its own: an interrupt at the terminal is not meant for it.
        child = subprocess.run(
            command,
            check=False,
            input=data,
            capture_output=True,
            timeout=WAIT_S,
            env=_surroundings(),
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise NoText(TOO_MUCH) from error
    if child.returncode:
        logging.getLogger(__name__).debug("ended with %s: %s", child.returncode, child.stderr[-2000:])
        raise NoText(TOO_MUCH)
    return _answer(json.loads(child.stdout))


def main() -> None:
    """In the child: the file from stdin, what it says to stdout, as JSON."""
    suffix, memory, seconds = sys.argv[1:]
    _limit(int(memory), int(seconds))
    with os.fdopen(os.dup(1), "w", encoding="ascii") as out:
        os.dup2(2, 1)  # what a library prints is no answer
        said = _Said()
        logging.captureWarnings(True)
        logging.getLogger().addHandler(said)
        json.dump({**_read(suffix, sys.stdin.buffer.read()), "said": said.told}, out)


class _Said(logging.Handler):
    """The first warnings of libraries."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.told) < SAID:
            self.told.append((record.name, record.getMessage()[:1000]))


def _read(suffix: str, data: bytes) -> dict[str, object]:
    from aios_storage.extract import documents

    try:
        text = documents.READERS[suffix](data)
    except NoText as error:
        return {"no_text": str(error)}
    except ValueError as error:
        return {"error": str(error)}
    fields = [(key, str(value)[:MAX_EXTRACTED_BYTES]) for key, value in text.fields]
    return {
        "text": text.text[:MAX_EXTRACTED_BYTES],
        "kind": text.kind,
        "title": text.title,
        "fields": fields,
        "why": text.why,
    }


def _answer(reply: dict[str, object]) -> ExtractedText:
    for name, message in reply.pop("said"):  # type: ignore[attr-defined]
        logging.getLogger(name).warning("%s", message)
    if "no_text" in reply:
        raise NoText(str(reply["no_text"]))
    if "error" in reply:
        raise ValueError(reply["error"])
    fields = tuple((str(key), str(value)) for key, value in reply["fields"])  # type: ignore[attr-defined]
    return ExtractedText(str(reply["text"]), str(reply["kind"]), str(reply["title"]), fields, why=str(reply["why"]))


def _limit(memory: int, seconds: int) -> None:
    for kind, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (most, most))


def _surroundings() -> dict[str, str]:
    """The child's environment: modules come from where they come from here, and no key is in it."""
    path = os.pathsep.join(entry for entry in sys.path if os.path.isabs(entry))
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, "PYTHONPATH": path}


if __name__ == "__main__":
    main()
