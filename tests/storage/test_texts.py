"""Files as they are on disks of all countries: what is found of them, and what is told of those that are left out."""

from __future__ import annotations

import os
import socket
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios_storage.disk.root import LINK, NO_UNICODE, SPECIAL
from aios_storage.extract import MAX_EXTRACTED_BYTES
from aios_storage.extract.encoding import NoText, decode
from aios_storage.index.filters import Filters
from aios_storage.index.words import fold, grams, indexed, split
from aios_storage.library import Library
from aios_storage.search.search import Query
from aios_storage.search.snippet import Terms, snippet
from aios_storage.versions.files import Files
from aios_syscalls.errors import AiosError, BadRequest, Exists, NotFound

JAPANESE = "東京の天気は晴れです。明日は雨が降るでしょう。新しい図書館が開きました。"
CHINESE = "北京的天气很好。我们明天去图书馆学习中文，然后一起吃饭。这是一个很大的国家。"
TRADITIONAL = "台北的天氣很好。我們明天去圖書館學習中文，然後一起吃飯。這是一個很大的國家。"
KOREAN = "서울의 날씨는 맑습니다. 내일은 비가 올 것입니다. 새로운 도서관이 문을 열었습니다."
RUSSIAN = "В Москве сегодня хорошая погода. Завтра будет дождь, и мы пойдём в библиотеку."
GREEK = "Ο καιρός στην Αθήνα είναι καλός σήμερα. Αύριο θα βρέξει."
HEBREW = "מזג האוויר בירושלים טוב היום. מחר ירד גשם ונלך לספרייה."
ARABIC = "الطقس في القاهرة جميل اليوم. غدا سوف تمطر ونذهب إلى المكتبة."
THAI = "อากาศในกรุงเทพดีมากวันนี้ พรุ่งนี้ฝนจะตกและเราจะไปห้องสมุด"
FRENCH = "Le temps est beau à Paris. L\u2019été dernier, c\u2019était agréable\u2026 5 \u20ac"
NFD = unicodedata.normalize("NFD", "résumé")

# Name, bytes, what is looked for, and of it (part of) the line that is shown.
FOUND: list[tuple[str, bytes, str, str]] = [
    ("plain.txt", b"heron one\n", "heron", "heron one"),
    ("utf8-mark.txt", b"\xef\xbb\xbfcrane two", "crane", "crane two"),
    ("utf16-le-mark.txt", "\ufeffstork café".encode("utf-16-le"), "stork", "stork café"),
    ("utf16-be-mark.txt", "\ufeffibis café".encode("utf-16-be"), "ibis", "ibis café"),
    ("utf32-le-mark.txt", "\ufeffegret".encode("utf-32-le"), "egret", "egret"),
    ("utf32-be-mark.txt", "\ufeffbittern".encode("utf-32-be"), "bittern", "bittern"),
    ("utf16-le.txt", "spoonbill in a file of Windows\r\n".encode("utf-16-le"), "spoonbill", "spoonbill in a"),
    ("utf16-be.txt", "flamingo in another\n".encode("utf-16-be"), "flamingo", "flamingo in"),
    ("utf32-le.txt", "pelican in a third\n".encode("utf-32-le"), "pelican", "pelican in"),
    ("utf32-be.txt", "cormorant, and a fourth\n".encode("utf-32-be"), "cormorant", "cormorant, and"),
    ("utf16-odd.txt", "gannet cut off\n".encode("utf-16-le") + b"x", "gannet", "gannet cut"),
    ("utf16-ja.txt", JAPANESE.encode("utf-16-le"), "+晴れ", "東京の天気"),
    ("utf16-ru.txt", RUSSIAN.encode("utf-16-be"), "+дождь", "Завтра будет"),
    ("shift-jis.txt", JAPANESE.encode("shift_jis"), "+図書館", "新しい図書館"),
    ("euc-jp.txt", JAPANESE.encode("euc_jp"), "+東京", "東京の天気"),
    ("iso-2022-jp.txt", JAPANESE.encode("iso2022_jp"), "+天気", "東京の天気"),
    ("gbk.txt", CHINESE.encode("gbk"), "+图书馆", "去图书馆学习"),
    ("gb18030.txt", CHINESE.encode("gb18030"), "+北京", "北京的天气"),
    ("big5.txt", TRADITIONAL.encode("big5"), "+圖書館", "去圖書館學習"),
    ("euc-kr.txt", KOREAN.encode("euc_kr"), "+날씨", "서울의 날씨는"),
    ("koi8-r.txt", RUSSIAN.encode("koi8-r"), "+погода", "хорошая погода"),
    ("cp1251-capitals.txt", "ДОГОВОР АРЕНДЫ ПОМЕЩЕНИЯ".encode("cp1251"), "+аренды", "ДОГОВОР АРЕНДЫ"),
    ("koi8-capitals.txt", "ДОГОВОР ПОСТАВКИ ТОВАРА".encode("koi8-r"), "+поставки", "ДОГОВОР ПОСТАВКИ"),
    ("copyright.txt", "© 2010 Müller".encode("cp1252"), "+Müller", "© 2010 Müller"),
    ("cp1251.txt", RUSSIAN.encode("cp1251"), "+Москве", "В Москве"),
    ("cp866.txt", RUSSIAN.encode("cp866"), "+библиотеку", "библиотеку"),
    ("iso-8859-5.txt", RUSSIAN.encode("iso8859-5"), "+завтра", "Завтра"),
    ("greek.txt", GREEK.encode("cp1253"), "+Αθήνα", "στην Αθήνα"),
    ("hebrew.txt", HEBREW.encode("cp1255"), "+גשם", "ירד גשם"),
    ("arabic.txt", ARABIC.encode("cp1256"), "+القاهرة", "في القاهرة"),
    ("thai.txt", THAI.encode("tis-620"), "+ฝน", "ฝนจะตก"),
    ("cp1252.txt", FRENCH.encode("cp1252"), "+été", "L\u2019été dernier"),
    ("latin-1.txt", "Über die Straße".encode("latin-1"), "+Straße", "Über die Straße"),
    ("one-nul.txt", b"puffin\0guillemot", "guillemot", "puffin guillemot"),
    ("late-nul.log", b"kittiwake\n" * 2000 + b"\0tern\n", "tern", "tern"),
    ("cut-off.txt", "skua caf\u00e9 caf\u00e9".encode()[:-1], "skua", "skua café"),
    ("broken.txt", "é".encode() * 40 + b" fulmar \xff " + "é".encode() * 9, "fulmar", "fulmar"),
    ("cesu-8.txt", "dunlin \U0001f600".encode("utf-16", "surrogatepass").decode("utf-16").encode()[:7]
     + b"\xed\xa0\xbd\xed\xb8\x80", "\U0001f600", "dunlin \U0001f600"),
    ("overlong.txt", b"avocet \xc0\xaf and more text\n", "avocet", "avocet"),
    ("cr.txt", b"first line\rwhimbrel\rthird line", "whimbrel", "whimbrel"),
    ("crlf.txt", b"first line\r\ncurlew\r\nthird line\r\n", "curlew", "curlew"),
    ("mixed-ends.txt", b"a\rgodwit\nb\r\nc", "godwit", "godwit"),
    ("escapes.log", b"\x1b[31mredshank\x1b[0m failed\n", "redshank", "redshank"),
    ("backspaces.1", b"s\bsa\ban\bnd\bd ruff\n", "ruff", "ruff"),
    ("controls.txt", b"turnstone \x01 in a line of some words more\n", "turnstone", "turnstone"),
    ("one-line.json", b'{"k": "' + b"x " * 200_000 + b'knot"}', "knot", "knot"),
    ("long-word.txt", b"A" * 300_000 + b" sanderling", "sanderling", "sanderling"),
    ("wide.txt", "Ｐｌｏｖｅｒ ①".encode(), "plover", "Ｐｌｏｖｅｒ"),
    ("narrow.txt", "ｶﾞﾗｽの靴".encode(), "ガラス", "ｶﾞﾗｽの靴"),
    ("ligature.txt", "the \ufb01nch \ufb02ew".encode(), "finch", "\ufb01nch"),
    ("soft-hyphen.txt", "night\u00adingale".encode(), "nightingale", "night"),
    ("nfd.txt", f"my {NFD}\n".encode(), "résumé", NFD),
    ("accent.txt", "crème brûlée".encode(), "brulee", "crème brûlée"),
    ("vietnamese.txt", "Nguyễn Huệ".encode(), "nguyen", "Nguyễn"),
    ("hindi.txt", "हिन्दी में लिखा हुआ".encode(), "+लिखा", "हिन्दी में"),
    ("vowels.txt", "مُحَمَّد".encode(), "محمد", "مُحَمَّد"),
    ("points.txt", "שָׁלוֹם".encode(), "שלום", "שָׁלוֹם"),
    ("lao.txt", "ພາສາລາວງ່າຍ".encode(), "+ລາວ", "ພາສາລາວ"),
    ("khmer.txt", "ភាសាខ្មែរងាយ".encode(), "+ខ្មែរ", "ភាសាខ្មែរ"),
    ("burmese.txt", "မြန်မာစာလွယ်တယ်".encode(), "+စာ", "မြန်မာစာ"),
    ("emoji.txt", "party 🎉👍🏽 time".encode(), "+👍", "🎉"),
    ("mixed.md", "Python入門 2024年".encode(), "+python +入門 +2024", "Python入門"),
    ("emoji 🎈.txt", b"x\n", "🎈", "x"),
    (f"{unicodedata.normalize('NFD', 'naïve')}.txt", b"x\n", "naïve", "x"),
    ("new\nline.txt", b"wren\n", "wren", "wren"),
    ("-dash.txt", b"robin\n", "robin", "robin"),
    ("quo\"te's.txt", b"thrush\n", "thrush", "thrush"),
    ("back\\slash.txt", b"starling\n", "starling", "starling"),
    (" blanks .txt", b"sparrow\n", "sparrow", "sparrow"),
    ("n" * 240 + ".txt", b"linnet\n", "linnet", "linnet"),
    ("looks-like.txt/inside.md", b"siskin\n", "siskin", "siskin"),
    ("報告/東京.txt", b"x\n", "+報告", "x"),
    ("no-suffix", b"jay\n", "jay", "jay"),
    ("picture.svg", b'<svg xmlns="a"><g id="magpie">\n<text>a raven\ncalls</text></g></svg>', "raven", "a raven"),
    ("feed.xml", b"<r><t>the rook and the crow and the jackdaw of the tower</t></r>", "jackdaw", "the rook"),
    ("data.xml", b'<beans><bean id="osprey" class="a.B"/><bean id="x" y="z"/></beans>', "osprey", "osprey"),
]  # fmt: skip
# Name, bytes, and what is told of why they are found by their names alone.
WORDLESS: list[tuple[str, bytes, str]] = [
    ("program.bin", b"\x7fELF" + bytes(range(256)) * 40, "binary"),
    ("all-bytes.dat", bytes(range(256)) * 40, "binary"),
    ("nuls.dat", bytes(5000), "binary"),
    ("one-nul.dat", b"\0", "binary"),
    ("picture.png", b"\x89PNG\r\n\x1a\n" + b"IHDR text text text" * 9, "binary"),
    ("zip.txt", b"PK\3\4" + b"readme.txt and more \xff" * 50, "binary"),
    ("mark-only-looks.txt", b"\xff\xfe\x01\x00\x02\x00\x03\x00\x04\x00", "binary"),
    ("ebcdic.txt", "the words of a mainframe, all of them".encode("cp500"), "encoding that is not known"),
    ("broken.pdf", b"%PDF-1.4 nothing", "format that cannot be read"),
    ("large.txt", b"", "larger than 16 MiB"),
]  # fmt: skip
NOTHING: list[tuple[str, bytes]] = [
    ("empty.txt", b""),
    ("mark.txt", b"\xef\xbb\xbf"),
    ("mark16.txt", b"\xff\xfe"),
    ("blank.txt", b" \n\t\r\n"),
    ("icon.svg", b'<svg xmlns="a"><path d="M0 0h24v24H0z"/></svg>'),
]  # fmt: skip


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(FOUND) + len(WORDLESS) + len(NOTHING) + len(LEFT) >= 80


@contextmanager
def opened(root: Path) -> Iterator[tuple[Library, dict[str, str]]]:
    """The files of a directory, searchable, and those that are left out with the reason."""
    with Library(root) as library:
        skipped = dict(library.refresh().skipped)
        yield library, skipped


def put(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_each_file_is_found_by_its_words_and_shown_at_the_line_that_has_them(tmp_path: Path) -> None:
    for name, data, _, _ in FOUND:
        put(tmp_path, name, data)
    wrong = []
    with opened(tmp_path) as (library, skipped):
        assert (skipped, library.index.wordless()) == ({}, [])
        for name, _, query, shown in FOUND:
            hits = library.search(Query(query, "keyword", limit=50)).hits
            hit = next((hit for hit in hits if hit.path == name), None)
            if hit is None or shown not in hit.snippet:
                wrong.append(f"{name}: {query}: {[each.path for each in hits]}, {hit and hit.snippet[:80]!r}")
    assert wrong == []


@pytest.mark.whole
def test_what_has_no_text_is_found_by_its_name_and_told_with_the_reason(tmp_path: Path) -> None:
    for name, data, _ in WORDLESS:
        put(tmp_path, name, data)
    os.truncate(tmp_path / "large.txt", MAX_EXTRACTED_BYTES + 1)
    for name, data in NOTHING:
        put(tmp_path, name, data)
    with opened(tmp_path) as (library, _):
        told = dict(library.index.wordless())
        assert set(told) == {name for name, _, _ in WORDLESS}
        assert [name for name, _, why in WORDLESS if why not in told[name]] == []
        for name in [*told, *dict(NOTHING)]:
            hits = library.search(Query(f'"{name}"', "keyword", Filters(paths=(name,)))).hits
            assert [(hit.path, hit.snippet) for hit in hits] in ([(name, "")], [(name, " ")], [(name, " \t")])


def _fifo(root: Path) -> str:
    os.mkfifo(root / "pipe")
    return "pipe"


def _socket(root: Path) -> str:
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(root, os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/sock")
        os.close(here)
    return "sock"


def _link(root: Path) -> str:
    (root / "link").symlink_to("there.txt")
    return "link"


def _loop(root: Path) -> str:
    (root / "loop").symlink_to("loop")
    return "loop"


def _directory_link(root: Path) -> str:
    (root / "up").symlink_to(".")
    return "up"


def _dangling(root: Path) -> str:
    (root / "gone").symlink_to("/nowhere/at/all")
    return "gone"


def _name(root: Path) -> str:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text("heron")
    return "caf\\xe9.txt"


def _directory(root: Path) -> str:
    directory = Path(os.fsdecode(os.fsencode(root) + b"/d\xff"))
    directory.mkdir()
    (directory / "a.txt").write_text("heron")
    return "d\\xff"


def _sparse(root: Path) -> str:
    (root / "sparse").touch()
    os.truncate(root / "sparse", 2**40)
    return "sparse"


LEFT: list[tuple[Callable[[Path], str], str]] = [
    (_fifo, SPECIAL), (_socket, SPECIAL), (_link, LINK), (_loop, LINK), (_directory_link, LINK), (_dangling, LINK),
    (_name, NO_UNICODE), (_directory, NO_UNICODE), (_sparse, "larger than 16 GiB"),
]  # fmt: skip


def test_whatever_is_left_out_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("heron")
    expected = {make(tmp_path): why for make, why in LEFT}
    with opened(tmp_path) as (library, skipped):
        assert skipped == expected
        assert [hit.path for hit in library.search("heron").hits] == ["there.txt"]


def test_what_cannot_be_read_is_told_but_to_root_who_reads_all(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("heron")
    (tmp_path / "secret.txt").chmod(0)
    with opened(tmp_path) as (library, skipped):
        found = [hit.path for hit in library.search("heron").hits]
        assert (set(skipped), found) == (set(), ["secret.txt"]) if os.geteuid() == 0 else ({"secret.txt"}, [])


def test_two_names_of_one_file_are_two_files_and_what_changes_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("heron")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    with opened(tmp_path) as (library, _):
        assert {hit.path for hit in library.search("heron").hits} == {"a.txt", "b.txt"}
        (tmp_path / "a.txt").write_text("東京の鶴")
        library.refresh()
        assert library.search(Query("heron", "keyword")).hits == ()
        assert {hit.path for hit in library.search(Query("+鶴", "keyword")).hits} == {"a.txt", "b.txt"}
        (tmp_path / "b.txt").unlink()
        (tmp_path / "a.txt").write_text("crane")
        library.refresh()
        assert library.search(Query("+鶴", "keyword")).hits == ()
        assert [hit.path for hit in library.search(Query("crane", "keyword")).hits] == ["a.txt"]


# --- words of scripts without blanks


WORDS: list[tuple[str, str, bool]] = [
    ("東京の天気は晴れです。", "東京", True),
    ("東京の天気は晴れです。", '"東京の天気"', True),
    ("東京の天気は晴れです。", "+京東", False),
    ("東京の天気は晴れです。", '"天気の東京"', False),
    ("東京の天気は晴れです。", "天気 -東京", False),
    ("東京の天気は晴れです。", "天気 -京都", True),
    ("東京の天気は晴れです。", "天気 NOT 大阪", True),
    ("東京の天気は晴れです。", "東京 AND 晴れ", True),
    ("東京の天気は晴れです。", "東京 AND 雨", False),
    ("東京の天気は晴れです。", "東*", True),
    ("東京の天気は晴れです。", "+東京天気", False),
    ("東京都", "＋東京", True),
    ("京", "京", True),
    ("東\n京", "+東京", True),
    ("東、\n\n京 ", "+東京", True),
    ("東 京", '"東京"', True),
    ("ภา\nษา", "+ภาษา", True),
    ("ｶﾞ", "+ガ", True),
    ("ガ", "+ｶﾞ", True),
    ("ﾊﾟｿｺﾝ", "+パソコン", True),
    ("人工智能改变世界", "智能世界", True),
    ("人工智能改变世界", "+智能", True),
    ("한국어를 배웁니다", "+한국", True),
    ("ภาษาไทยง่าย", "+ไทย", True),
    ("ภาษาไทยง่าย", "+ไท่", False),
    ("カタカナとひらがな", "+ひらがな", True),
    ("ラーメン", "+ラーメン", True),
    ("𠮷野家", "+𠮷野", True),
    ("Привет, мир", "+привет", True),
    ("Größe", "+grosse", False),
    ("GRÖSSE", "+größe", False),
    ("naïve", "+naive", True),
]


def test_words_are_found_wherever_they_stand(tmp_path: Path) -> None:
    names = {text: f"{at}.txt" for at, text in enumerate(dict.fromkeys(text for text, _, _ in WORDS))}
    for text, name in names.items():
        (tmp_path / name).write_text(text)
    wrong = []
    with opened(tmp_path) as (library, _):
        for text, query, found in WORDS:
            hits = library.search(Query(query, "keyword", Filters(paths=(names[text],)))).hits
            marked = all(hit.marks and all(hit.snippet[start:end] for start, end in hit.marks) for hit in hits)
            if bool(hits) is not found or not marked:
                wrong.append((text, query, hits))
    assert wrong == []


def test_of_a_word_that_goes_over_a_line_end_that_is_marked_which_is_in_the_line() -> None:
    text = "古都\n東\n京"
    terms = Terms(["東京"])
    assert snippet(text, 1, 3, terms).marks == ()
    shown = snippet(text, 1, 3, terms.apart(text), context=2)
    assert [shown.text[start:end] for start, end in shown.marks] == ["東", "京"]
    assert snippet("東と京", 1, 1, terms.apart("東と京")).marks == ()


@pytest.mark.parametrize("query", ["+!!!", '"..."', '-"--"', "a AND ()", "+\u3002", 'NOT "?"', "+\u200b"])
def test_what_must_or_must_not_be_there_has_a_word(tmp_path: Path, query: str) -> None:
    with opened(tmp_path) as (library, _), pytest.raises(BadRequest, match="has no word") as caught:
        library.search(query)
    assert caught.value.field == "text"


def test_a_phrase_without_a_word_beside_words_is_left_out_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the dot operator\n")
    with opened(tmp_path) as (library, _):
        results = library.search(Query('what is the "." operator', "keyword"))
        assert [hit.path for hit in results.hits] == ["a.txt"]
        assert results.notes == ('"." has no word to look for, and is left out',)


def test_a_query_without_a_word_finds_nothing_by_keyword_and_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as (library, _):
        assert library.search(Query("...", "keyword")).notes == (
            "'...' has no word to look for; name one that the files should have",
        )


WRITTEN = st.text(st.sampled_from("ab é 東京のカ한국ไท่ยक्षि🎉👍ﬁＡ\u0301\u200d\u00ad .,-\n"), max_size=40)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(WRITTEN)
def test_a_text_has_each_of_its_own_words_and_marks_are_of_the_text(text: str) -> None:
    assert indexed(indexed(text)).split() == indexed(text).split()
    tokens = indexed(text).split()
    for word in split(text):
        for gram in grams(word):
            part = indexed(gram).split()
            assert any(part == tokens[at : at + len(part)] for at in range(len(tokens))) or not gram.isascii() or part
    low, origins = fold(text)
    assert len(origins) == len(low) + 1
    assert list(origins) == sorted(origins)
    assert (origins[0] if low else 0, origins[-1]) in ((0, len(text)), (origins[0], len(text)))
    for start, end in Terms(split(text)).spans(text):
        assert 0 <= start < end <= len(text)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-16-le", "surrogatepass")))
def test_any_bytes_are_a_text_of_utf_8_or_none(data: bytes) -> None:
    try:
        text, exact = decode(data)
    except NoText:
        return
    assert "\r" not in text
    assert "\0" not in text
    if exact:
        assert text.encode() == data


def test_random_bytes_are_no_text() -> None:
    read = 0
    for seed in range(200):
        data = bytes((seed * 7919 + at * at * 31 + (at * 2654435761 >> 7)) & 255 for at in range(600))
        try:
            decode(data)
            read += 1
        except NoText:
            pass
    assert read == 0


# --- which line is shown

PASSAGE = """# Lanes

![lane diagram of a lane](docs/lane.svg "lane")
[![lane](https://x.example/lane.png)](https://x.example/lane)
<img src="lane.svg" alt="lane" class="lane lane-wide">
<!-- lane lane lane -->
A lane is one core, one scheduler and a width.
It has no thread.

| lane | width |
|------|-------|
"""


def test_the_sentence_that_answers_is_shown_not_the_markup_around_it() -> None:
    lines = PASSAGE.count("\n") + 1
    shown = snippet(PASSAGE, 1, lines, Terms(["lane"]))
    assert shown.text == "A lane is one core, one scheduler and a width."
    assert snippet(PASSAGE, 1, lines, Terms(["thread"])).text == "It has no thread."
    assert snippet(PASSAGE, 1, lines, Terms(["absent"])).text == "A lane is one core, one scheduler and a width."


def test_words_that_few_lines_have_count_more_than_words_that_all_have() -> None:
    text = "the kernel runs\nthe kernel waits and the kernel runs\nthe kernel preempts\nthe kernel runs\n"
    assert snippet(text, 1, 4, Terms(["kernel", "preempts"])).text == "the kernel preempts"


def test_a_sentence_goes_on_in_the_next_line() -> None:
    text = "retries are many\n\na request is retried where the\nserver says so, with backoff\n"
    assert snippet(text, 1, 4, Terms(["retried", "backoff"])).best in (3, 4)
    assert snippet(text, 1, 4, Terms(["request", "retried", "backoff"])).best == 3


@pytest.mark.parametrize("text", ["---\n</g>\n***\nheron by the river\n", "</svg>\n\n{\n}\nheron by the river\n"])
def test_a_line_without_a_word_is_never_shown_where_there_is_another(text: str) -> None:
    assert snippet(text, 1, 5, Terms([])).text == "heron by the river"


def test_code_is_shown_where_the_name_is_made() -> None:
    text = (
        "import x\n\ndef read_lines(path):\n    return open(path)\n\nread_lines(a)\nfor line in read_lines(b): pass\n"
    )
    assert snippet(text, 1, 8, Terms(["read", "lines"])).best == 3


# --- names that are written alike


@pytest.mark.parametrize("name", ["café", "한글", "が", "ǭ", "Ångström"])
@pytest.mark.parametrize(("there", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_is_found_in_either_form(tmp_path: Path, name: str, there: str, typed: str) -> None:
    real, said = unicodedata.normalize(there, name), unicodedata.normalize(typed, name)  # type: ignore[arg-type]
    assert real != said
    (tmp_path / real).mkdir()
    (tmp_path / real / f"{real}.txt").write_text("kettle one\n")
    path, meant = f"{said}/{said}.txt", f"{real}/{real}.txt"
    with opened(tmp_path) as (library, _):
        files = library.files
        assert files.read(path) == b"kettle one\n"
        assert [each.path for each in files.history(path)] == [meant]
        assert files.stat(path).path == meant
        assert files.write(path, b"kettle two\n").path == meant
        assert files.show(path, 1) == b"kettle one\n"
        assert files.diff(path, 1)
        with pytest.raises(Exists):
            files.create(path)
        assert files.rollback(path, 1).path == meant
        assert files.append(path, b"more\n").path == meant
        for pattern in (path, said, f"{said}/*", f"**/{said}*", f"*{said}.txt"):
            assert [hit.path for hit in library.search(Query("kettle", "keyword", Filters(paths=(pattern,)))).hits] == [
                meant
            ]
        files.delete(path)
        assert files.show(path, 1) == b"kettle one\n"
        files.rollback(path, 1)
        assert os.listdir(tmp_path / real) == [f"{real}.txt"]


def test_the_exact_name_comes_first_and_of_several_others_none_is_meant(tmp_path: Path) -> None:
    nfc, nfd = "ệ.txt", unicodedata.normalize("NFD", "ệ.txt")
    between = "e\u0302\u0323.txt"
    for name in (nfc, nfd):
        (tmp_path / name).write_text(name)
    with Files(tmp_path) as files:
        files.scan()
        assert files.read(nfc).decode() == nfc
        assert files.read(nfd).decode() == nfd
        with pytest.raises(NotFound):
            files.read(between)
        (tmp_path / nfd).unlink()
        files.scan()
        assert files.history(nfd)[0].deleted
        assert files.read(between).decode() == nfc


def test_a_name_that_is_not_there_is_not_found_as_ever(tmp_path: Path) -> None:
    with Files(tmp_path) as files:
        for path in ("é", "é/ü", "\udcff", "é\0", "é/../x"):
            with pytest.raises(AiosError):
                files.read(path)
            with pytest.raises(AiosError):
                files.history(path)
