"""What of a text is a word: for the index, for a query, and for the marks of what was found.

Keywords are found by SQLite's tokenizer, to which a word is what stands between blanks and punctuation. Where a script
puts no blanks between its words - Chinese, Japanese, Thai, Lao, Khmer, Burmese - or glues particles to them, as Korean
does, that is a whole sentence. So each character of such a script is indexed as a token of its own, and a word of it is
asked for as a phrase of its characters: it is found wherever it stands, exactly, without a dictionary that would have
to know it. Where any part of a longer run will do, the parts are overlapping n-grams, which rank as well as words do
(Nie, Gao, Zhang, Zhou: On the Use of Words and N-grams for Chinese Information Retrieval, 2000): of two characters
where one is a syllable or more, of three where it is a letter.

Texts and queries are brought to one form first, so that none is missed for how it is encoded: Unicode's NFKC, without
what is invisible or optional (Unicode Standard Annex 29: such characters break no word). An ASCII text is its own form.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

_SYLLABLES = (
    (0x1100, 0x11FF),  # Hangul
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x303B, 0x303C),
    (0x3041, 0x3096),  # Hiragana
    (0x309D, 0x309F),
    (0x30A1, 0x30FA),  # Katakana
    (0x30FC, 0x318F),  # Katakana, Bopomofo, Hangul
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0xA48C),  # Han, Yi
    (0xA960, 0xA97C),
    (0xAC00, 0xD7FB),  # Hangul
    (0xF900, 0xFAFF),
    (0x16FE0, 0x18DFF),  # Tangut, Khitan
    (0x1AFF0, 0x1B2FF),  # Kana, Nushu
    (0x20000, 0x323AF),  # Han
)
_LETTERS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x1AAF),  # Tai Le, New Tai Lue, Buginese, Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
)
_SYLLABLES_A_GRAM, _LETTERS_A_GRAM = 2, 3

# Of no width, or marks that writers leave out as they like: Arabic and Hebrew vowels, the Arabic stretcher.
_INVISIBLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x0591, 0x05BD),
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C5),
    (0x05C7, 0x05C7),
    (0x0610, 0x061A),
    (0x061C, 0x061C),
    (0x0640, 0x0640),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),
    (0x06DF, 0x06E4),
    (0x06E7, 0x06E8),
    (0x06EA, 0x06ED),
    (0x180B, 0x180F),
    (0x200C, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0x1F3FB, 0x1F3FF),
    (0xE0001, 0xE01EF),
)
# Emoji and other pictures are no letters to SQLite; it has a character of its own for each, in the private planes.
_PICTURES = ((0x2600, 0x27BF, 0xF0000), (0x2B00, 0x2BFF, 0xF0000), (0x1F000, 0x1FAFF, 0xE0000))


class _Patterns(NamedTuple):
    """Any word; a run of a script without blanks, a character of it with its marks; a mark, a picture, a syllable."""

    words: re.Pattern[str]
    run: re.Pattern[str]
    apart: re.Pattern[str]
    mark: re.Pattern[str]
    picture: re.Pattern[str]
    syllable: re.Pattern[str]


def indexed(text: str) -> str:
    """The form of a text that SQLite's tokenizer is given, for the index and for queries alike."""
    if text.isascii():
        return text
    patterns = _patterns()
    text = patterns.run.sub(_spaced, _plain(text))
    return patterns.picture.sub(_private, text)


def split(text: str) -> list[str]:
    """The words of a text in order; a run of a script without blanks is one, and so is each picture."""
    if text.isascii():
        return _ASCII.findall(text)
    return _patterns().words.findall(_plain(text))


def grams(word: str) -> list[str]:
    """The parts of a word of which any will do: overlapping n-grams where it is a run without blanks, else itself."""
    if word.isascii():
        return [word]
    characters = _patterns().apart.findall(word)
    if not characters:
        return [word]
    size = _SYLLABLES_A_GRAM if _patterns().syllable.match(word) else _LETTERS_A_GRAM
    count = max(1, len(characters) - size + 1)
    return ["".join(characters[at : at + size]) for at in range(count)]


def characters(word: str) -> list[str]:
    """The characters, with their marks, that a run without blanks is indexed as; none of any other word."""
    return [] if word.isascii() else _patterns().apart.findall(word)


def is_apart(char: str) -> bool:
    """Whether a character is of a script whose words have no blanks between them."""
    return not char.isascii() and _patterns().apart.match(char) is not None


_ASCII = re.compile(r"[^\W_]+")


def compatible(text: str) -> str:
    """A text in Unicode's form NFKC, with as many marks on a character as any language has (UAX #15, Stream-Safe).

    Bringing marks into their order takes the square of how many there are.
    """
    return text if text.isascii() else unicodedata.normalize("NFKC", _piles().sub(r"\1", text))


def _plain(text: str) -> str:
    return _DROPPED.sub("", compatible(text))


@cache
def _piles() -> re.Pattern[str]:
    marks = _class(code for code in range(0x300, 0x1E94B) if unicodedata.combining(chr(code)))
    return re.compile(f"([{marks}]{{30}})[{marks}]++")


def _spaced(match: re.Match[str]) -> str:
    run, patterns = match[0], _patterns()
    return f" {' '.join(patterns.apart.findall(run) if patterns.mark.search(run) else run)} "


def _private(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f" {chr(next(code + by for first, last, by in _PICTURES if first <= code <= last))} "


@cache
def _patterns() -> _Patterns:
    """Made at the first text that is not ASCII: it takes some milliseconds to look at each character."""
    marks = _class(code for code in range(0x300, 0x1E94B) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    letters = _class(
        code
        for first, last in _LETTERS
        for code in range(first, last + 1)
        if unicodedata.category(chr(code))[0] in "LN"
    )
    syllables = _ranges(_SYLLABLES)
    pictures = _ranges([each[:2] for each in _PICTURES])
    apart = f"[{syllables}{letters}][{marks}]*"
    word = rf"(?:(?![{syllables}{letters}])[^\W_]|[{marks}\ue000-\uf8ff\U000f0000-\U0010fffd])+"
    return _Patterns(
        re.compile(f"(?:{apart})+|{word}|[{pictures}]"),
        re.compile(f"(?:{apart})+"),
        re.compile(apart),
        re.compile(f"[{marks}]"),
        re.compile(f"[{pictures}]"),
        re.compile(f"[{syllables}]"),
    )


def _class(codes: Iterable[int]) -> str:
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return _ranges([(first, last) for first, last in ranges])


def _ranges(ranges: Sequence[tuple[int, int]]) -> str:
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_DROPPED = re.compile(f"[{_ranges(_INVISIBLE)}]")

# --- for marks


class _Folding(dict[int, str]):
    """What each character is compared as; `odd` are those that become none, or several."""

    def __init__(self) -> None:
        self.odd: set[str] = set()

    def __missing__(self, code: int) -> str:
        char = chr(code)
        folded = _folded(char)
        # A mark that was none, such as of half-width kana, may be joined to what stands before it.
        if len(folded) != 1 or (folded != char and unicodedata.combining(folded)):
            self.odd.add(char)
        self[code] = folded
        return folded


_FOLDING = _Folding()
_JOINED = re.compile(r".[\u0300-\u036f\u1160-\u11ff\u3099\u309a\uff9e\uff9f]*", re.DOTALL)
"""A character, with what Unicode's composition may join to it."""


def fold(text: str) -> tuple[str, Sequence[int]]:
    """A text as words are compared, and for each of its characters, and its end, where in `text` that came from."""
    if text.isascii():
        return text.lower(), range(len(text) + 1)
    folded = text.translate(_FOLDING)
    if not _piles().search(text) and unicodedata.is_normalized("NFC", text) and _FOLDING.odd.isdisjoint(text):
        return folded, range(len(text) + 1)
    pieces: list[str] = []
    origins: list[int] = []
    for match in _JOINED.finditer(text):
        piece = _folded(match[0])
        pieces.append(piece)
        origins += [match.start()] * len(piece)
    return "".join(pieces), [*origins, len(text)]


def _folded(text: str) -> str:
    """Without case, width, and the accents of scripts where words are looked for without them."""
    plain = _plain(text).casefold()
    if plain.isascii():
        return plain
    return unicodedata.normalize("NFC", _ACCENTS.sub(r"\1", unicodedata.normalize("NFD", plain)))


_ACCENTS = re.compile(r"([a-z\u0370-\u03ff])[\u0300-\u036f]+")
