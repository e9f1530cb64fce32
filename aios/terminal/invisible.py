"""Where a character that nobody sees changes how those beside it are drawn, so that it is no hiding place.

By Unicode's blocks: its lists of the single sequences (StandardizedVariants, emoji-variation-sequences) are not in
Python. Joiners are as in RFC 5892, appendix A: they matter between letters that are joined in writing, and after a
virama, to which the marks and letters around a virama are added here; and between emoji.
"""

from __future__ import annotations

import unicodedata

JOINERS = frozenset("\u200c\u200d")
NON_JOINER = "\u200c"
EMOJI_SELECTORS = frozenset("\ufe0e\ufe0f")
MONGOLIAN_SELECTORS = frozenset("\u180b\u180c\u180d\u180f")
RARE_SELECTORS = frozenset(map(chr, range(0xE0100, 0xE01F0)))
SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10))) | MONGOLIAN_SELECTORS | RARE_SELECTORS
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
"""Letters, marks and symbols that look like nothing, or like a blank."""

VIRAMA = 9
"""Its canonical combining class."""
NO_VIRAMAS = frozenset("\u0e3a\u0eba")
"""Of that class, in Thai and Lao, which join nothing."""
KEYS, KEYCAP = frozenset("0123456789#*"), "\u20e3"

_HAN = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_MATHS = ((0x2190, 0x21FF), (0x2200, 0x22FF), (0x2A00, 0x2AFF))
_WIDE_POINTS = frozenset("、。\uff01\uff0c\uff0e\uff1a\uff1b\uff1f")
_MYANMAR = ((0x1000, 0x102A), (0x1075, 0x1081), (0xA9E0, 0xA9FE), (0xAA60, 0xAA7F))
_MONGOLIAN = ((0x1820, 0x1878), (0x1880, 0x18AA))
_EMOJI_ALONE = frozenset("©®‼⁉™\u2139↔↕↖↗↘↙↩↪⌚⌛⌨⏏Ⓜ▪▫▶◀◻◼◽◾⤴⤵⬅⬆⬇⬛⬜⭐⭕〰〽㊗㊙")
_EMOJI = ((0x23E9, 0x23FA), (0x2600, 0x27BF), (0x1F000, 0x1F3FA), (0x1F400, 0x1FAFF))
_SKIN = ((0x1F3FB, 0x1F3FF),)
_JOINED = (
    (0x0620, 0x08FF),  # Arabic, Syriac, N'Ko, Mandaic
    (0x1807, 0x1807),
    (0x1820, 0x18AA),  # Mongolian
    (0xA840, 0xA873),  # Phags-pa
    (0xFB50, 0xFDFF),  # Arabic
    (0xFE70, 0xFEFC),
    (0x10AC0, 0x10AFF),  # Manichaean
    (0x10B80, 0x10BAF),  # Pahlavi
    (0x10D00, 0x10D27),  # Rohingya
    (0x10F30, 0x10FAF),  # Sogdian, Uyghur
    (0x1E900, 0x1E94B),  # Adlam
)
_UNJOINED = (0x0780, 0x07BF), (0x0800, 0x083F)
"""Thaana and Samaritan, which stand among the joined ones."""


def joins(before: str, joiner: str, after: str) -> bool:
    """Whether a joiner between two characters can change how they are drawn."""
    if joiner != NON_JOINER and _is_emoji(after):
        return before == "\ufe0f" or _within(before, _SKIN) or _is_emoji(before)
    if _is_joined(before) and _is_joined(after):
        return True
    viramas = _is_virama(before), _is_virama(after)
    # At the end of a word the joiner makes another letter of the one before: Malayalam chillus, Bengali's khanda ta.
    return (viramas[0] and joiner != NON_JOINER) or (any(viramas) and _is_letter(before) and _is_letter(after))


def varies(before: str, selector: str, after: str) -> bool:
    """Whether a variation selector can change the character before it."""
    if selector in RARE_SELECTORS:
        return _within(before, _HAN)
    if selector in MONGOLIAN_SELECTORS:
        return _within(before, _MONGOLIAN)
    if selector in EMOJI_SELECTORS:
        return (before in KEYS and after == KEYCAP) or _is_emoji(before)
    if selector == "\ufe00" and (_within(before, _MYANMAR) or _within(before, _MATHS)):
        return unicodedata.category(before) in ("Lo", "Sm")
    return (selector in "\ufe00\ufe01\ufe02" and _within(before, _HAN)) or (
        selector in "\ufe00\ufe01" and before in _WIDE_POINTS
    )


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= ord(char) <= last for first, last in ranges)


def _is_emoji(char: str) -> bool:
    return char in _EMOJI_ALONE or (_within(char, _EMOJI) and unicodedata.category(char) in ("So", "Sm"))


def _is_virama(char: str) -> bool:
    return unicodedata.combining(char) == VIRAMA and char not in NO_VIRAMAS


def _is_joined(char: str) -> bool:
    joined = _is_letter(char) or unicodedata.category(char) in ("Lu", "Ll")  # Adlam has capitals
    return joined and _within(char, _JOINED) and not _within(char, _UNJOINED)


def _is_letter(char: str) -> bool:
    # A selector is a mark by its category; whether it stays is a question of its own.
    return unicodedata.category(char) in ("Lo", "Lm", "Mn", "Mc") and char not in UNSEEN and char not in SELECTORS
