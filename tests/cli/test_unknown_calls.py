"""What `aios runs unknown` lists, and what `aios resolve` takes."""

from __future__ import annotations

from typing import Any

import pytest

from aios.cli.record import unknown
from aios.record import Kind
from aios_syscalls import AiosError, BadRequest, Conflict, NotFound


@pytest.fixture
def paid(story: Any) -> Any:
    """A run whose tool had been called, and whose model asked, when its kernel died."""
    told = story(durable={"hash_seed": 1, "config": {}})
    told.spawn(0.1, 7)
    for n, name in ((1, "tool.call"), (2, "llm.chat")):
        told.add(0.2, Kind.ACCEPTED, 7, n, name=name, call={"tool": "pay"})
        told.add(0.3, Kind.STARTED, 7, n, lane="x")
        told.add(0.4, Kind.UNKNOWN if n == 1 else Kind.CANCELLED, 7, n, error={"code": "no_kernel", "message": "died"})
    told.add(0.5, Kind.CLOSED, 0, 0, error={"code": "no_kernel", "message": "died"})
    return told.write()


@pytest.mark.usefixtures("paid")
@pytest.mark.parametrize("decision", ["done", "failed", "retry"])
def test_a_call_is_listed_until_it_is_decided_and_decided_once(decision: Any) -> None:
    (listed,) = unknown.undecided()
    assert unknown.to_object(listed)["call"] == "7.1"
    assert unknown.table([listed]).row_count == 1
    assert unknown.decide("7.1", decision).decision == decision
    assert unknown.undecided() == []
    assert [each.decision for each in unknown.undecided(everything=True)] == [decision]
    with pytest.raises(Conflict, match=f"decided already: {decision}"):
        unknown.decide("7.1", "failed")


@pytest.mark.usefixtures("paid")
@pytest.mark.parametrize(
    ("call", "decision", "reply", "error", "why"),
    [
        ("7.2", "done", None, NotFound, "none whose outcome is unknown"),
        ("8.1", "done", None, NotFound, "none whose outcome is unknown"),
        ("seven", "done", None, BadRequest, "names no call"),
        ("7.1", "done", "{", BadRequest, "an object of value"),
        ("7.1", "done", '{"text": 1}', BadRequest, "an object of value"),
        ("7.1", "failed", "{}", BadRequest, "not of one that is to be failed"),
    ],
)
def test_what_cannot_be_decided_is_told(
    call: str, decision: Any, reply: str | None, error: type[AiosError], why: str
) -> None:
    with pytest.raises(error, match=why):
        unknown.decide(call, decision, reply)
    assert len(unknown.undecided()) == 1


def test_where_nothing_is_on_record_nothing_is_unknown() -> None:
    assert unknown.undecided() == []
