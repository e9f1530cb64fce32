"""What runs of programs took, kept from run to run: what policies have learnt from."""

from __future__ import annotations

from pathlib import Path

from aios.learned_table import Rows
from aios.scheduler import ServiceDistributions

TABLE = "CREATE TABLE IF NOT EXISTS totals (day REAL, lane TEXT, program TEXT, service REAL)"
ADD = "INSERT INTO totals VALUES (julianday('now'), ?, ?, ?)"
PLACED = (
    "(SELECT rowid AS number, lane, program, service, "
    "row_number() OVER (PARTITION BY lane, program ORDER BY rowid DESC) AS place FROM totals)"
)
READ = "SELECT program, service FROM " + PLACED + " WHERE lane = ? AND place <= ? ORDER BY number"
FORGET = (
    "DELETE FROM totals WHERE day < julianday('now') - ? "
    "OR rowid IN (SELECT number FROM " + PLACED + " WHERE place > ?)"
)
KEPT = 500
"""Of each program on each lane, the newest: older ones weigh too little to be told from none."""
FORGOTTEN = 180
"""Days after which a run says nothing of the next."""
TOGETHER = 64
"""Written at once; so many may be lost with the process."""


class ServiceHistory:
    """Service of ended runs by lane and program, in a file of the user's alone (learned_table.py).

    What is cut off because a kernel stops would teach that programs are short, so it is closed before they are.
    """

    def __init__(self, path: Path) -> None:
        self._rows = Rows(path, TABLE, "what the scheduler learns")
        self._new: list[tuple[object, ...]] = []
        self._closed = False

    @property
    def trouble(self) -> str:
        """Why nothing is kept; empty while there is no trouble."""
        return self._rows.trouble

    def learnt(self, lane: str) -> ServiceDistributions:
        """What is known of programs on a lane, which goes on learning and has what it learns kept."""
        rows = self._rows.run(READ, (lane, KEPT))
        learnt = ServiceDistributions()
        for program, service in rows:
            if isinstance(program, str) and isinstance(service, float) and 0 < service < float("inf"):
                learnt.add(program, service)
        learnt.heard = lambda program, service: self._add(lane, program, service)
        return learnt

    def count(self) -> tuple[int, int]:
        """How many runs are kept, and of how many programs."""
        rows = self._rows.run("SELECT count(*), count(DISTINCT program) FROM totals")
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def close(self) -> None:
        """Keep what is new, forget what is old, and let go of the file."""
        if self._new:
            self._write()
            self._rows.run(FORGET, (FORGOTTEN, KEPT))
        self._closed = True
        self._rows.close()

    def _add(self, lane: str, program: str, service: float) -> None:
        if self._closed:
            return
        self._new.append((lane, program, service))
        if len(self._new) >= TOGETHER:
            self._write()

    def _write(self) -> None:
        self._rows.insert(ADD, self._new)
        self._new.clear()
