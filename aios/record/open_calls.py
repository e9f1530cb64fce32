"""Calls that have not ended, found without reading what events say of them."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from aios.record.history import ENDINGS
from aios_syscalls import CallId

OF_CALLS = """
SELECT seq, run, pid, n, node, kind FROM event
WHERE seq BETWEEN ? AND ? AND n > 0 AND run IN (SELECT value FROM json_each(?)) ORDER BY seq
"""
ENDED = frozenset(kind.value for kind in ENDINGS)

OpenCalls = dict[int, dict[CallId, list[int]]]
"""By the number of the run: each call that has not ended, with the places of its events in the journal."""


def open_calls(db: sqlite3.Connection, runs: Iterable[int], first: int, last: int) -> OpenCalls:
    """The calls of some runs, all of whose events lie between two places, that have not ended."""
    found: defaultdict[int, dict[CallId, list[int]]] = defaultdict(dict)
    for seq, run, pid, n, node, kind in db.execute(OF_CALLS, (first, last, json.dumps([*runs]))):
        id = CallId(pid, n, node)
        if kind in ENDED:
            found[run].pop(id, None)
        else:
            found[run].setdefault(id, []).append(seq)
    return dict(found)
