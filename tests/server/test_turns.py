"""Names of turns that travel through clients."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from aios.server.http.turns import MAX_PRINCIPALS, MAX_TEXTS, SentTurns

numbers = st.integers(0, 10**18 - 1)


@given(pid=numbers, n=numbers, index=st.integers(0, 9999), principal=st.text(max_size=5))
def test_an_id_names_its_call_to_its_principal_and_to_no_other(pid: int, n: int, index: int, principal: str) -> None:
    turns = SentTurns()
    id = turns.mint("toolu", principal, f"{pid}.{n}", index)
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", id)
    assert turns.named(principal, id) == f"{pid}.{n}"
    assert turns.named(f"{principal}x", id) == SentTurns().named(principal, id) == ""


def test_an_id_whose_parts_are_changed_names_nothing() -> None:
    turns = SentTurns()
    id = turns.mint("call", "alice", "7.3", 1)
    for changed in (
        id.replace("_7_", "_8_"),
        id.replace("_3_", "_4_"),
        id.replace("_1_", "_0_"),
        f"{id}0",
        id[:-1],
        "",
    ):
        assert turns.named("alice", changed) == ""
    assert turns.named("alice", id) == "7.3"


def test_a_call_without_a_name_gets_an_id_all_the_same() -> None:
    turns = SentTurns()
    ids = {turns.mint("call", "alice", call, 0) for call in ("", "7.3:node", "no")}
    assert len(ids) == 3
    assert not any(turns.named("alice", id) for id in ids)


def test_the_latest_texts_of_the_latest_principals_are_remembered() -> None:
    turns = SentTurns()
    for number in range(MAX_TEXTS + 1):
        turns.remember("alice", f"text {number}", f"1.{number}")
    assert turns.recalled("alice", "text 0") == ""
    assert turns.recalled("alice", "text 1") == "1.1"
    assert turns.recalled("bob", "text 1") == ""
    for number in range(MAX_PRINCIPALS):
        turns.remember(f"other {number}", "text", "2.1")
    assert turns.recalled("alice", "text 1") == ""
    assert turns.recalled("other 1", "text") == "2.1"
