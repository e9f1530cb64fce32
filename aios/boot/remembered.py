"""Where what is learnt is kept from run to run, and how much that is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Literal

from aios.config import home
from aios.kernel.service_history import ServiceHistory
from aios.routing.outcomes import Outcomes


def memory(kind: Literal["router", "scheduler"]) -> Path:
    """Where what one of these has learnt is kept for the next run."""
    return home("state") / f"{kind}.db"


def learnt_answers() -> tuple[int, str]:
    """How many answers the router remembers, and what is wrong with that, if anything."""
    with closing(Outcomes(memory("router"))) as outcomes:
        return outcomes.count(), outcomes.trouble


def learnt_programs() -> tuple[int, int, str]:
    """How many runs of how many programs the scheduler remembers, and what is wrong with that, if anything."""
    with closing(ServiceHistory(memory("scheduler"))) as totals:
        return *totals.count(), totals.trouble
