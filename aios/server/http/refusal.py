"""Errors as statuses of HTTP: what a client is answered that is not served."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aios.server.door import was_killed
from aios_syscalls import (
    AiosError,
    BadRequest,
    BudgetExceeded,
    Cancelled,
    Denied,
    Expired,
    LoadError,
    ModelFailed,
    NotFound,
    Overloaded,
)

DRAIN_S = 5.0
"""After which a client may try again where the kernel stops."""


class HttpRefusal(Exception):
    """A request that is not served, with the status that says so."""

    def __init__(self, status: int, message: str, field: str = "", code: str = "", **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.code = status, message, field, code
        self.headers: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}


def refused(error: AiosError) -> HttpRefusal:
    """An error of the kernel as an answer: a client tries again after 429 and above 499, and stops after the rest."""
    field = error.field if isinstance(error, BadRequest) else ""
    if isinstance(error, Overloaded):
        return HttpRefusal(429, error.message, retry_after=str(max(1, math.ceil(error.retry_after_s))))
    status = _status(error)
    if status == 503:
        return HttpRefusal(status, error.message, retry_after=str(math.ceil(DRAIN_S)))
    return HttpRefusal(status, error.message, field, error.code)


def _status(error: AiosError) -> int:
    match error:
        case Denied():
            return 403
        case NotFound():
            return 404
        case BudgetExceeded():
            return 402
        case BadRequest():
            return 400
        case Cancelled() if was_killed(error):
            return 400
        case Expired():
            return 504
        case LoadError():
            return 503
        case ModelFailed():
            return 502
        case _:
            return 500
