"""A radix tree over token ids: which of the stored sequences begins most like a new one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

V = TypeVar("V")


class _Node(Generic[V]):
    __slots__ = ("children", "edge", "values")

    def __init__(self, edge: Sequence[int]) -> None:
        self.edge = edge
        """The tokens between the parent and here; empty for the root alone."""
        self.children: dict[int, _Node[V]] = {}
        self.values: list[V] = []
        """What ends here."""


class RadixTree(Generic[V]):
    """Values by token sequence; a lookup takes time in proportion to the sequence, not to how many there are.

    As SGLang's RadixAttention (Zheng et al. 2024, section 3), without its eviction: that is its user's affair.
    """

    def __init__(self) -> None:
        self._root = _Node[V](())

    def insert(self, tokens: Sequence[int], value: V) -> None:
        """Store a value under a sequence; several may be stored under one."""
        node, at = self._root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                child = node.children[tokens[at]] = _Node(tokens[at:])
                node, at = child, len(tokens)
                break
            same = common(child.edge, tokens, at)
            if same < len(child.edge):
                child = self._split(node, child, same)
            node, at = child, at + same
        node.values.append(value)

    def remove(self, tokens: Sequence[int], value: V) -> None:
        """Forget a value stored under exactly this sequence. Raises KeyError or ValueError if there is none."""
        path, at = [self._root], 0
        while at < len(tokens):
            child = path[-1].children[tokens[at]]
            if common(child.edge, tokens, at) < len(child.edge):
                raise KeyError(tokens[at])
            path.append(child)
            at += len(child.edge)
        path[-1].values.remove(value)
        while len(path) > 1 and not path[-1].values and not path[-1].children:
            node = path.pop()
            del path[-1].children[node.edge[0]]
        node = path[-1]
        if len(path) > 1 and not node.values and len(node.children) == 1:
            (only,) = node.children.values()
            only.edge = [*node.edge, *only.edge]
            path[-2].children[only.edge[0]] = only

    def longest(self, tokens: Sequence[int]) -> tuple[int, Iterator[V]]:
        """How many tokens the best stored sequences begin with in common with this one, and their values."""
        node, at = self._root, 0
        while child := node.children.get(tokens[at]) if at < len(tokens) else None:
            same = common(child.edge, tokens, at)
            node, at = child, at + same
            if same < len(child.edge):
                break
        return at, _below(node)

    def prefixes(self, tokens: Sequence[int]) -> Iterator[V]:
        """The values of all stored sequences that this one begins with, itself included."""
        node, at = self._root, 0
        yield from node.values
        while child := node.children.get(tokens[at]) if at < len(tokens) else None:
            if common(child.edge, tokens, at) < len(child.edge):
                return
            node, at = child, at + len(child.edge)
            yield from node.values

    def _split(self, parent: _Node[V], child: _Node[V], at: int) -> _Node[V]:
        upper = _Node[V](child.edge[:at])
        child.edge = child.edge[at:]
        upper.children[child.edge[0]] = child
        parent.children[upper.edge[0]] = upper
        return upper


def _below(node: _Node[V]) -> Iterator[V]:
    stack = [node]
    while stack:
        node = stack.pop()
        yield from node.values
        stack += node.children.values()


def common(edge: Sequence[int], tokens: Sequence[int], start: int = 0) -> int:
    """How many tokens of `edge` agree with those of `tokens` from `start` on."""
    other = tokens[start : start + len(edge)]
    if edge == other:
        return len(edge)
    pairs = enumerate(zip(edge, other, strict=False))
    return next((number for number, (mine, theirs) in pairs if mine != theirs), min(len(edge), len(other)))
