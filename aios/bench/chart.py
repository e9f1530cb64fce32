"""Charts of figures, as tables for the terminal and as one SVG drawing, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from rich.table import Table

Figures = Mapping[str, float | None]

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7f7f7f")
"""Those of Okabe and Ito, told apart by the colour-blind too."""
WIDTH, LABELS, MARGIN = 900, 330, 20
BAR, GAP, HEIGHT = 16, 8, 260
STEPS = 5


@dataclass(frozen=True, slots=True)
class Chart:
    """Series of figures over common labels: series -> label -> the figure's name."""

    title: str
    unit: str
    series: Mapping[str, Mapping[str, str]]
    kind: Literal["bar", "line", "table"] = "bar"
    """A table is for what has no common unit, and is not drawn."""

    @property
    def labels(self) -> list[str]:
        """Every label once, in order."""
        return list(dict.fromkeys(label for row in self.series.values() for label in row))

    @property
    def names(self) -> list[str]:
        """Every figure that is in it."""
        return [name for row in self.series.values() for name in row.values()]

    def value(self, figures: Figures, series: str, label: str) -> float | None:
        """One figure, if it is there and was measured."""
        return figures.get(self.series[series].get(label, ""))

    def table(self, figures: Figures) -> Table:
        """A row for each series, a column for each label."""
        from aios.terminal.table import grid

        table = grid(self.unit.upper(), *(f">{label}" for label in self.labels))
        for name in self.series:
            values = [self.value(figures, name, label) for label in self.labels]
            table.add_row(name, *("-" if value is None else f"{value:,.4g}" for value in values))
        return table


def draw(title: str, charts: Sequence[Chart], figures: Figures) -> str:
    """One SVG document with the charts below each other."""
    parts, top = [_text(MARGIN, 30, title, size=16)], 50
    for chart in charts:
        if chart.kind == "table":
            continue
        body, height = (_lines if chart.kind == "line" else _bars)(chart, figures)
        parts.append(f'<g transform="translate(0 {top})">{_text(MARGIN, 18, f"{chart.title}, {chart.unit}", 14)}')
        parts += [*_legend(chart), f'<g transform="translate(0 50)">{"".join(body)}</g></g>']
        top += height + 80
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{top}" fill="white"/>', *parts, "</svg>", ""])


def _bars(chart: Chart, figures: Figures) -> tuple[list[str], int]:
    """Bars to the right, grouped by label; the height they take."""
    scale = (WIDTH - LABELS - 4 * MARGIN) / (_highest(chart, figures) or 1)
    parts, top = [], 0
    for label in chart.labels:
        present = [name for name in chart.series if label in chart.series[name]]
        parts.append(_text(LABELS - 8, top + len(present) * BAR / 2 + 4, label, anchor="end"))
        for name in present:
            value = chart.value(figures, name, label)
            length, said = (0, "not measured") if value is None else (value * scale, f"{value:,.4g}")
            colour = COLOURS[list(chart.series).index(name) % len(COLOURS)]
            parts.append(
                f'<rect x="{LABELS}" y="{top}" width="{max(0, length):.1f}" height="{BAR - 2}" fill="{colour}"/>'
            )
            parts.append(_text(LABELS + max(0, length) + 4, top + 11, said, size=11))
            top += BAR
        top += GAP
    return parts, top


def _lines(chart: Chart, figures: Figures) -> tuple[list[str], int]:
    """A line for each series over equally spaced labels; the height they take."""
    highest, labels = _highest(chart, figures) or 1, chart.labels
    left, right = 70, WIDTH - 2 * MARGIN
    step = (right - left) / max(1, len(labels) - 1)
    parts = []
    for number in range(STEPS + 1):
        y = HEIGHT - HEIGHT * number / STEPS
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(_text(left - 6, y + 4, f"{highest * number / STEPS:,.3g}", 11, "end"))
    parts += [_text(left + number * step, HEIGHT + 18, label, 11, "middle") for number, label in enumerate(labels)]
    for index, name in enumerate(chart.series):
        values = [chart.value(figures, name, label) for label in labels]
        points = [
            (left + number * step, HEIGHT - HEIGHT * value / highest)
            for number, value in enumerate(values)
            if value is not None
        ]
        colour = COLOURS[index % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return parts, HEIGHT + 20


def _legend(chart: Chart) -> list[str]:
    parts, left = [], float(MARGIN)
    for index, name in enumerate(chart.series):
        parts.append(f'<rect x="{left:.0f}" y="28" width="10" height="10" fill="{COLOURS[index % len(COLOURS)]}"/>')
        parts.append(_text(left + 14, 37, name, 11))
        left += 30 + 6.5 * len(name)
    return parts


def _highest(chart: Chart, figures: Figures) -> float:
    values = (figures.get(name) for name in chart.names)
    return max((value for value in values if value is not None), default=0.0)


def _text(x: float, y: float, text: str, size: int = 12, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
