"""A console of rich's that is harmless whatever is printed on it, and whose tables are never cut to letters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table

from aios.terminal.output import clean

GIVES_WAY = 8
"""Cells that a column keeps which is cut off where there is little room."""


class CleanConsole(Console):
    """Text is cleaned where it becomes cells, so no caller has to think of it; what rich adds itself is not text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        with self._wide_enough([each for each in objects if isinstance(each, Table)]):
            super().print(*objects, **options)

    @contextmanager
    def _wide_enough(self, tables: list[Table]) -> Iterator[None]:
        """As wide as the tables need: a terminal wraps a line that is too long, a file has no width."""
        before = self._width, self._height
        if tables:
            # Both, or rich takes a dumb terminal for one of 80 columns.
            self._height = self.height
            self._width = max(self.width, *(self._needs(table) for table in tables))
        try:
            yield
        finally:
            self._width, self._height = before

    def _needs(self, table: Table) -> int:
        between = 2 * max(len(table.columns) - 1, 0)
        return sum(self._cells(column) for column in table.columns) + between

    def _cells(self, column: Column) -> int:
        """Of a column; on a terminal one that gives way needs few."""
        options = self.options.update(width=100_000)
        widest = max(
            (Measurement.get(self, options, cell).maximum for cell in (column.header, *column.cells)), default=0
        )
        return widest if column.no_wrap or not self.is_terminal else min(widest, GIVES_WAY)
