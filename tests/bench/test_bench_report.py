"""Reports of benchmarks: figures that are missing, tables and drawings."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from rich.console import Console

from aios.bench import Report, at_least, at_most
from aios.bench.chart import Chart
from aios_syscalls import KernelBug

BARS = Chart("speed", "tokens/s", {"ours": {"8": "ours8", "16": "ours16"}, "a <peer>": {"8": "peer8", "16": "peer16"}})
LINES = Chart("speed", "tokens/s", BARS.series, "line")
FIGURES = {"ratio": 2.0, "lost_ratio": None, "ours8": 10.0, "ours16": 20.0, "peer8": 5.0, "peer16": None}
MISSING = {"lost_ratio": "no network", "peer16": "no network"}


@pytest.fixture
def report() -> Report:
    goals = [at_least("ratio", 1.5), at_most("lost_ratio", 1)]
    return Report.of("llm", FIGURES, goals, missing=MISSING, notes=["medians"], charts=[BARS, LINES])


def text(report: Report) -> str:
    console = Console(width=160, color_system=None)
    with console.capture() as captured:
        console.print(report.show())
    return captured.get()


def test_a_figure_that_is_missing_is_null_with_its_reason_and_misses_its_target(report: Report) -> None:
    told = json.loads(report.to_json())
    assert told["figures"]["lost_ratio"] is None
    assert told["missing"] == MISSING
    assert told["notes"] == ["medians"]
    assert told["targets"] == [
        {"name": "ratio", "value": 2.0, "bound": ">= 1.5", "met": True},
        {"name": "lost_ratio", "value": None, "bound": "<= 1", "met": False},
    ]
    assert not report.met


def test_a_figure_cannot_be_missing_without_a_reason() -> None:
    with pytest.raises(KernelBug, match="no peer16"):
        Report.of("llm", FIGURES, missing={"lost_ratio": "no network"})


def test_the_text_begins_with_the_targets_and_goes_on_with_a_table_for_each_chart(report: Report) -> None:
    shown = text(report)
    order = [shown.index(word) for word in ("ratio", "lost_ratio", "TOKENS/S", "a <peer>", "no network", "medians")]
    assert order == sorted(order)
    row = next(line for line in shown.splitlines() if line.startswith("a <peer>"))
    assert row.split() == ["a", "<peer>", "5", "-"]
    assert "ours8" not in shown


def test_the_drawing_is_svg_with_a_mark_for_each_measured_figure(report: Report) -> None:
    root = ElementTree.fromstring(report.plot())
    space = "{http://www.w3.org/2000/svg}"
    said = ["".join(each.itertext()) for each in root.iter(f"{space}text")]
    assert "a <peer>" in said
    assert "ratio >= 1.5" in said
    assert "not measured" in said
    assert len(list(root.iter(f"{space}circle"))) == 3


def test_bars_are_as_long_as_their_figures(report: Report) -> None:
    root = ElementTree.fromstring(report.plot())
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.attrib["height"] == "14"]
    first, lost, ours8, peer8, ours16, peer16 = (float(bar.attrib["width"]) for bar in bars)
    assert first > lost == 0
    assert ours16 == pytest.approx(2 * ours8, abs=0.1)
    assert ours8 == pytest.approx(2 * peer8, abs=0.1)
    assert peer16 == 0
