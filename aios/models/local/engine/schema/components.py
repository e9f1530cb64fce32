"""Strongly connected components of a graph."""

from __future__ import annotations

from collections.abc import Sequence


def components(leads: Sequence[Sequence[int]]) -> list[int]:
    """Of each node the number of its component (Tarjan 1972); what another component leads to has a lower number."""
    found = [-1] * len(leads)
    order, low = dict[int, int](), dict[int, int]()
    path: list[int] = []
    count = 0
    for start in range(len(leads)):
        if start in order:
            continue
        order[start] = low[start] = len(order)
        path.append(start)
        calls = [(start, iter(leads[start]))]
        while calls:
            node, rest = calls[-1]
            for after in rest:
                if after not in order:
                    order[after] = low[after] = len(order)
                    path.append(after)
                    calls.append((after, iter(leads[after])))
                    break
                if found[after] < 0:
                    low[node] = min(low[node], order[after])
            else:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[node])
                if low[node] == order[node]:
                    while found[node] < 0:
                        found[path.pop()] = count
                    count += 1
    return found
