"""Which text some bytes are: by their mark, by UTF-8's own rules, or by what a language's letters would be.

Without a mark UTF-16 and UTF-32 show by where their NULs are. What is no UTF-8 is taken for the encoding in which it
makes most sense: its characters are those that a language writes most (the method of Li, Momoi: A Composite Approach to
Language/Encoding Detection, 2001). The table has the encodings that the WHATWG Encoding Standard has for languages of
other alphabets; Western text is windows-1252, which that standard reads as latin-1 too.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Mapping, Sequence

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\b\t\n\f\r\x1b")
SAMPLE = 65_536
"""Bytes by which an encoding is told."""
FEW = 20
"""One in so many characters may be a control character, or of no meaning."""
BINARY = "binary"
UNKNOWN = "in an encoding that is not known; save it as UTF-8"
# How files begin that are no text, though much of them may look like it.
_MAGIC = (
    b"%PDF-", b"PK\3\4", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf",
    b"\x7fELF", b"SQLite format 3", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe", b"RIFF", b"OggS", b"ID3", b"MZ", b"GGUF",
)  # fmt: skip

_CYRILLIC = "оеаинтсрвлкмдпуя"
_CHINESE = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事"
    "成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此"
)
_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事"
    "成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此"
)
_KOREAN = (
    "이다는에의가을를은한하고지도로서기사자인나시어정해대그있리전수과보것들아만부일상원주으면조장라제관학국요회성경게중우공"
    "동구스와습니요음여연세선유안했개었트미신모무방오비내위문단실분합된적못없등때물더또할까"
)
_LETTERS: Mapping[str, str] = {
    "cp949": _KOREAN,
    "gb18030": _CHINESE,
    "big5": _TRADITIONAL,
    "cp1251": _CYRILLIC,
    "koi8-r": _CYRILLIC,
    "cp866": _CYRILLIC,
    "iso8859-5": _CYRILLIC,
    "cp1253": "αοιετσνηυρπκμλς",
    "cp1255": "יוהלאמתרבשנדעפ",
    "cp1256": "اليمونترببدسعفةحق",
    "cp874": "านรอกเงมยลวดท่้สตะปบคหแจพชใไ",
}
"""What texts of a language consist of most, in the encodings of that language."""
_EVERYDAY = frozenset("".join(map(chr, range(32, 127))) + "\n\r\t" + "".join(_LETTERS.values()))
MIN_LETTER_SHARE = 0.3
"""How much of what is not ASCII has to be of these; languages have more, and what is misread hardly any."""
# Where the standards of scripts with thousands of characters have those that are in use: by the first byte. Texts too
# short for frequencies are told by these, in the order of how frequent such files are.
_IN_USE = {
    "gb18030": ("gb2312", range(0xB0, 0xD8)),
    "cp949": ("euc_kr", range(0xB0, 0xC9)),
    "big5": ("big5", range(0xA4, 0xC7)),
    "cp932": ("euc_jp", range(0xB0, 0xD0)),
    "euc_jp": ("euc_jp", range(0xB0, 0xD0)),
}
KANA = 0.15
"""Of Japanese, at least so much."""
# WHATWG's windows-1252: as Python's, but for five bytes that stand for the control characters of latin-1.
_WINDOWS = {code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if code not in b"\x81\x8d\x8f\x90\x9d"}


class NoText(ValueError):
    """Some bytes are no text, and why, as what the file is."""


def decode(data: bytes) -> tuple[str, bool]:
    """Bytes as text with line feeds at the ends of its lines, and whether it is just their UTF-8. Raises NoText."""
    text = _text(data)
    tidy = _tidy(text)
    return tidy, tidy is text and text.encode() == data


def _text(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _marked(data[len(mark) :], encoding)
    if _is_utf8(data) and not _is_binary(data):
        return _escaped(data) or data.decode()
    if data.startswith(_MAGIC):
        raise NoText(BINARY)
    if (wide := _unmarked(data)) is not None:
        return wide
    if _is_binary(data):
        raise NoText(BINARY)
    return _nearly_utf8(data) or _legacy(data)


def _tidy(text: str) -> str:
    """A text whose lines end in line feeds, with blanks for NULs and what colours a terminal; as long as before."""
    if "\x1b" in text:
        text = _COLOURS.sub(lambda match: " " * len(match[0]), text)
    if "\r" in text:
        text = re.sub("\r(?!\n)", "\n", text)
    return text.replace("\0", " ") if "\0" in text else text


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_binary(data: bytes) -> bool:
    odd = len(data) - len(data.translate(None, _CONTROLS))
    return odd > max(1, len(data) // FEW) or (odd > 0 and not data.translate(None, _CONTROLS).strip())


def _marked(data: bytes, encoding: str) -> str:
    """What follows a mark; a last character that is cut off drops out. A mark before what is no text is none."""
    text = data.decode(encoding, "replace")
    if text and not _is_sane(text):
        raise NoText(BINARY)
    return text.removesuffix("\ufffd") if text.count("\ufffd") == 1 else text


def _unmarked(data: bytes) -> str | None:
    """UTF-16 and UTF-32 without a mark; None where it is neither."""
    sample = data[:SAMPLE]
    zeros = [sample[at::4].count(0) for at in range(4)]
    quarter = len(sample) // 4
    if quarter and len(data) % 4 == 0 and zeros[3] == quarter and zeros[2] >= quarter - quarter // FEW:
        return _decoded(data, "utf-32-le")
    if quarter and len(data) % 4 == 0 and zeros[0] == quarter and zeros[1] >= quarter - quarter // FEW:
        return _decoded(data, "utf-32-be")
    rated = [
        (_everyday(text), text) for name in ("utf-16-le", "utf-16-be") if (text := _decoded(data, name)) is not None
    ]
    best, text = max(rated, default=(0.0, ""))
    return text if best >= MIN_LETTER_SHARE else None


def _decoded(data: bytes, encoding: str) -> str | None:
    """Bytes in an encoding, but for a last character that is cut off; None where that is not what they are."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return text if text and _is_sane(text) else None


def _is_sane(text: str) -> bool:
    """Whether nearly all of a text's characters have a meaning."""
    sample = text[: SAMPLE // 2]
    odd = sum(unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs") for char in sample if char not in "\b\t\n\f\r\x1b")
    odd += sample.count("\ufffd")
    return odd <= len(sample) // FEW or (odd == 1 and any(map(str.isalnum, sample)))


def _everyday(text: str) -> float:
    """How much of a text is ASCII or what some language writes most."""
    sample = text[: SAMPLE // 2]
    return sum(char in _EVERYDAY or char in "、。「」" or "\u3041" <= char <= "\u30ff" for char in sample) / len(sample)


def _escaped(data: bytes) -> str | None:
    """ISO-2022-JP, which is ASCII with escapes; None for all else."""
    if b"\x1b$" not in data:
        return None
    try:
        return data.decode("iso2022_jp")
    except UnicodeDecodeError:
        return None


def _nearly_utf8(data: bytes) -> str | None:
    """UTF-8 in which a little is broken, such as its end, or whose pairs of surrogates are encoded one by one."""
    with_halves = data.decode("utf-8", "surrogatepass") if _passes(data) else None
    if with_halves is not None:
        return with_halves.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(char > "\x7f" for char in text) - bad
    return text if good > 4 * bad or (good and bad == 1 and text.endswith("\ufffd")) else None


def _passes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _legacy(data: bytes) -> str:
    """Bytes of an encoding from before Unicode. Raises NoText where none makes sense."""
    sample = data[:SAMPLE]
    # The letters of another alphabet stand in words of their own, not one by one among Latin ones.
    runs = _HIGH.findall(sample)
    mixed = len(_MIXED.findall(sample)) * 2 >= len(runs) or sum(map(len, runs)) < 2 * len(runs)
    names = [*_IN_USE, *(() if mixed else _ALPHABETS)]
    rated = {name: _rate(text, name) for name in names if (text := _decoded(sample, name)) is not None}
    name = max(rated, key=rated.__getitem__, default="")
    if name and rated[name] >= MIN_LETTER_SHARE and (text := _decoded(data, name)) is not None:
        return text
    text = data.decode("latin-1").translate(_WINDOWS)
    if not _is_western(text[:SAMPLE]):
        raise NoText(UNKNOWN)
    return text


def _is_western(text: str) -> bool:
    """Whether what is not ASCII is the smaller part, and most of that letters, or the quotes and dashes about them."""
    high = [char for char in text if char > "\x7f"]
    strange = sum(not char.isalpha() and char not in _TYPED for char in high)
    return len(high) <= max(1, len(re.findall("[A-Za-z]", text))) and strange <= max(1, len(high) // 2)


_TYPED = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022€£§°«»¿¡·\xb4©®™\xa0½²³ªº"


def _rate(text: str, encoding: str) -> float:
    """How much sense a text makes that was read in an encoding, from 0 to 1."""
    high = [char for char in text if char > "\x7f" and not unicodedata.category(char).startswith(("P", "Z"))]
    if encoding not in _IN_USE:
        return _share(high, encoding)
    if len(high) < 2:
        return 0.0
    standard, rows = _IN_USE[encoding]
    kana = sum("\u3041" <= char <= "\u30ff" for char in high)
    known = kana * (encoding in _JAPANESE) + sum(_first(char, standard) in rows for char in high)
    in_use = (
        MIN_LETTER_SHARE + 0.01 * (len(_IN_USE) - list(_IN_USE).index(encoding)) if known > 0.95 * len(high) else 0.0
    )
    if encoding in _JAPANESE:
        return max(known / len(high) if kana > KANA * len(high) else 0.0, in_use)
    return max(_share(high, encoding), in_use)


_JAPANESE = ("cp932", "euc_jp")
_ALPHABETS = tuple(name for name in _LETTERS if name not in _IN_USE)
_HIGH = re.compile(rb"[\x80-\xff]+")
_MIXED = re.compile(rb"[a-zA-Z][\x80-\xff]|[\x80-\xff][a-zA-Z]")


def _share(high: Sequence[str], encoding: str) -> float:
    usual = _LETTERS[encoding]
    if encoding != "cp866" and all(map(str.isupper, high)):  # whose capitals are where EBCDIC has its small letters
        high = [char.lower() for char in high]
    return sum(char in usual for char in high) / len(high) if high else 0.0


def _first(char: str, standard: str) -> int:
    """The first byte of a character in a standard, 0 where it has none."""
    try:
        return char.encode(standard)[0]
    except UnicodeEncodeError:
        return 0
