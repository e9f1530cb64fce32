"""The radix tree against the obvious: comparing with every stored sequence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.context.radix import RadixTree, common

SEQUENCES = st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=12)


def shared(one: list[int], other: list[int]) -> int:
    return max(size for size in range(len(one) + 1) if one[:size] == other[:size])


@given(SEQUENCES, st.lists(st.integers(0, 2), max_size=8), st.data())
def test_it_finds_what_comparing_with_all_finds(stored: list[list[int]], asked: list[int], data: st.DataObject) -> None:
    tree = RadixTree[int]()
    for number, tokens in enumerate(stored):
        tree.insert(tokens, number)
    removed = data.draw(st.sets(st.sampled_from(range(len(stored))))) if stored else set()
    for number in removed:
        tree.remove(stored[number], number)
    kept = {number: tokens for number, tokens in enumerate(stored) if number not in removed}
    best = max((shared(tokens, asked) for tokens in kept.values()), default=0)
    length, found = tree.longest(asked)
    assert length == best
    assert set(found) == {number for number, tokens in kept.items() if shared(tokens, asked) == best}
    assert set(tree.prefixes(asked)) == {number for number, tokens in kept.items() if asked[: len(tokens)] == tokens}


def test_what_is_removed_must_have_been_stored() -> None:
    tree = RadixTree[str]()
    tree.insert([1, 2], "a")
    with pytest.raises(KeyError):
        tree.remove([1, 3], "a")
    with pytest.raises(ValueError, match="not in list"):
        tree.remove([1, 2], "b")


@given(st.lists(st.integers(0, 1), max_size=5), st.lists(st.integers(0, 1), max_size=8), st.integers(0, 8))
def test_common_counts_from_a_start(edge: list[int], tokens: list[int], start: int) -> None:
    assert common(edge, tokens, start) == shared(edge, tokens[start:])
