"""Versions and times as they are typed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from aios.cli.files.when import at, since
from aios_syscalls import BadRequest

NOW = datetime.fromisoformat("2026-03-18T12:00:00+00:00")  # a Wednesday


@pytest.mark.parametrize(("text", "version"), [("3", 3), ("-1", -1), ("+2", 2), ("v1.0", "v1.0"), ("2026", 2026)])
def test_numbers_and_tags_are_versions(text: str, version: int | str) -> None:
    assert at(text, {"v1.0", "yesterday's"}, NOW) == version


def test_a_day_is_its_end_for_a_version_and_its_beginning_for_a_search() -> None:
    tuesday = datetime.fromisoformat("2026-03-17T00:00:00+00:00")
    assert since("last tuesday", NOW) == tuesday.timestamp()
    end = at("last tuesday", (), NOW)
    assert isinstance(end, datetime)
    assert end == tuesday + timedelta(days=1, microseconds=-1)


def test_what_is_neither_is_told_with_examples() -> None:
    with pytest.raises(BadRequest, match="yesterday"):
        at("v2.0", {"v1.0"}, NOW)
