"""What the daemon says of itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from aios.terminal.output import seconds


def lines(status: Mapping[str, Any]) -> Iterator[str]:
    """The status for people."""
    began = datetime.fromtimestamp(status["began"])
    yield _line("daemon", f"process {status['os_pid']}, aios {status['version']}")
    yield _line("since", f"{began:%Y-%m-%d %H:%M:%S} ({seconds(max(0.0, time.time() - status['began']))})")
    yield _line("state", state(status))
    if why := status.get("read_only"):
        yield _line("read-only", why)
    yield _line("models", ", ".join(f"{name} ({slots} slots)" for name, slots in status["models"].items()) or "none")
    processes = sum(status["runs"].values())
    yield _line("runs", f"{len(status['runs'])}, with {processes} living process{'es' * (processes != 1)}")
    yield _line("calls", f"{status['running']} on models, {status['waiting']} waiting")
    yield _line("connected", str(status["connections"] - 1))  # without who asks
    yield _line("socket", status["socket"])
    yield _line("log", status["log"])


def state(status: Mapping[str, Any]) -> str:
    """ready, ending, or what it loads and how far that is."""
    if status["ending"]:
        return "ending"
    if status["ready"]:
        return "ready"
    return ", ".join(f"{what} {part:.0%}" for what, part in status["loading"].items()) or "loading"


def to_json(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status without the kernel's whole configuration."""
    return {key: value for key, value in status.items() if key != "kernel"} | {"state": state(status)}


def _line(name: str, value: str) -> str:
    return f"{name:<10} {value}"
