"""The bench of overhead: an old checkout beside this one, and what of a call is whose."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aios import bench
from aios.bench import against, overhead, overhead_parts
from aios_syscalls import BadRequest

OLD = """
import sys
from pathlib import Path
class Report:
    def to_json(self):
        with open("{log}", "a") as file:
            file.write(Path(__file__).parents[2].name + " ")
        return '{{"figures": {{"speed": {speed}, "wait": {wait}}}}}'
def main(quick):
    assert quick
    return Report()
"""


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two checkouts whose bench `given` tells what is written there, and notes who ran."""
    for name, speed, wait in (("old", 10, 5), ("new", 11, 6)):
        place = tmp_path / name / "aios" / "bench"
        place.mkdir(parents=True)
        for package in (place, place.parent):
            (package / "__init__.py").touch()
        (place / "given.py").write_text(OLD.format(log=tmp_path / "log", speed=speed, wait=wait))
    monkeypatch.setattr(against, "HERE", tmp_path / "new")
    return tmp_path


@pytest.mark.whole
def test_old_and_new_run_in_turns_each_with_its_own_code(trees: Path) -> None:
    figures, targets = against.against("given", trees / "old", True, {"speed": ">=", "wait": "<="})
    assert (figures["old_speed_q2"], figures["new_speed_q2"]) == (10, 11)
    assert figures["ratio_wait"] == pytest.approx(1.2)
    assert [(each.name, each.value, each.bound, each.met) for each in targets] == [
        ("new_speed_q2", 11, ">= 10", True),
        ("new_wait_q2", 6, "<= 5", False),
    ]
    order = (trees / "log").read_text().split()
    assert len(order) == 2 * against.ROUNDS >= 18
    assert {tuple(order[at : at + 2]) for at in range(0, len(order), 2)} == {("old", "new"), ("new", "old")}


@pytest.mark.whole
def test_what_cannot_be_compared_with_is_said(trees: Path) -> None:
    with pytest.raises(BadRequest, match="is no checkout with a benchmark 'overhead'"):
        bench.run("overhead", True, against=trees)
    with pytest.raises(BadRequest, match="the checkout that this runs from"):
        against.against("given", trees / "new", True, {"speed": ">="})
    (trees / "old" / "aios" / "bench" / "given.py").write_text("import nothing_of_this_name")
    with pytest.raises(BadRequest, match="No module named 'nothing_of_this_name'"):
        against.measure("given", trees / "old", True)
    with pytest.raises(BadRequest, match="takes no against; leave --against out"):
        bench.run("sched", True, against=trees)


def test_the_parts_of_a_call_are_each_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead_parts, "TURNS", 1)
    found = anyio.run(overhead_parts.parts, tmp_path / "journal.db", 20)
    assert list(found) == [f"part_{name}_us" for name in ("journal", "model", "lane", "kernel", "pass")]
    assert found["part_pass_us"] > 0


@pytest.mark.whole
def test_every_figure_that_is_compared_is_measured() -> None:
    report = overhead.main(True)
    assert set(overhead.BETTER) <= set(report.figures)
    assert report.figures["lost"] == 0
