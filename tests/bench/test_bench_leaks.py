"""What is private to one agent does not show to another, whatever it asks; and the hunt would find what does."""

from __future__ import annotations

import pytest

from aios.bench.search.leaks import measure
from aios_storage import Scope


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_private_shows(seed: int) -> None:
    found = measure(400, seed)
    assert found["private_leaks"] == 0
    assert found["private_answered"] > 100
    assert found["private_refused"] > 100


def test_what_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scope, "of", lambda *_: Scope())
    assert measure(100)["private_leaks"] > 10
