"""What a user may set of the HTTP wires."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Limits and names of the HTTP application; times in seconds."""

    hosts: frozenset[str] = LOOPBACK
    """Names that the Host header may have, without the port."""
    port: int | None = None
    """The port that the Host header must name; None: any."""
    origins: frozenset[str] = frozenset()
    """Origins that may call beside loopback ones."""
    strict: bool = False
    """Refuse a request with parts that the model cannot take, instead of leaving them out."""
    max_body: int = 32 * MIB
    body_s: float = 60.0
    """For which the body of a request may take to come."""
    max_choices: int = 16
    """Of one request: its `n`."""
    max_tokens: int = 4096
    """Of an answer whose request names no limit, where the model's context is not known."""
    keep_alive_s: float = 5.0
    """Between two comments of a stream while nothing else is sent."""
    grace_s: float = 0.05
    """For which the headers of a stream wait for a call that fails at once, so that it gets a status of its own."""
