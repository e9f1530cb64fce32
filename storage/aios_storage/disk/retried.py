"""Trying again what others may have come between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def retried(attempt: Callable[[], T], on: tuple[type[Exception], ...], tries: int) -> T:
    """What an attempt returns, tried again after these errors; the last try raises them."""
    for _ in range(tries - 1):
        with suppress(*on):
            return attempt()
    return attempt()
