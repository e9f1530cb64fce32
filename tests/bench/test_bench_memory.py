"""More agents than contexts are kept of, on the real model: the Room saves what would be read again, and no text."""

from __future__ import annotations

import pytest

from aios.bench import memory

pytestmark = [pytest.mark.anyio, pytest.mark.whole]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_in_a_room_less_is_read_again_and_every_call_is_answered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CALLS", 3)
    monkeypatch.setattr(memory, "TURN_WORDS", 30)
    found = await memory.measure(5)
    assert (found["answers_share"], found["different_texts"]) == (1, 0)
    again, room = found["read_again_open"], found["read_again_room"]
    assert again is not None
    assert room is not None
    assert room < again / 3
