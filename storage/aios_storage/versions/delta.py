"""Bytes as what they have not in common with other bytes.

The common beginning and end are left out, and what is between them is deflated with what was between them as the
dictionary: small for the edits that people and agents make, exact for all, and a few lines.
"""

from __future__ import annotations

import struct
import zlib

WINDOW = 32 * 1024
"""What deflate can look back on."""
_HEAD = struct.Struct("<QQQ")


def encode(data: bytes, base: bytes) -> bytes:
    """`data` as its difference from `base`."""
    start = common(data, base)
    end = common(data[start:][::-1], base[start:][::-1])
    middle, dictionary = data[start : len(data) - end], base[start : len(base) - end][-WINDOW:]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_around(base, start, len(base) - end, dictionary))
    return _HEAD.pack(start, end, len(base)) + packer.compress(middle) + packer.flush()


def decode(stored: bytes, base: bytes) -> bytes:
    """The bytes that `encode` was given. Raises ValueError for what it cannot have written, or another base."""
    try:
        start, end, length = _HEAD.unpack_from(stored)
        if length != len(base) or start + end > length:
            raise ValueError("the base is another")
        dictionary = base[start : length - end][-WINDOW:]
        packer = zlib.decompressobj(-15, zdict=_around(base, start, length - end, dictionary))
        middle = packer.decompress(stored[_HEAD.size :]) + packer.flush()
    except (struct.error, zlib.error) as error:
        raise ValueError(f"no delta: {error}") from error
    return base[:start] + middle + base[length - end :]


def _around(base: bytes, start: int, end: int, middle: bytes) -> bytes:
    """The dictionary: the old middle, nearest to the end where deflate finds it cheapest, and text before it."""
    room = WINDOW - len(middle)
    after = base[end : end + room // 2]
    before = base[max(0, start - (room - len(after))) : start]
    return before + after + middle


def common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
